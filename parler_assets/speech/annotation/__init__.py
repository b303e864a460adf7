"""Every clip measured: speaking rate, pitch, SNR, reverberation, quality."""
