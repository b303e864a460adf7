"""What estimators of a clip's surroundings and of its quality give, whichever they are."""

from __future__ import annotations

from dataclasses import dataclass

NO_SPEECH = "SNR and C50 of speech: no speech found"


@dataclass(frozen=True)
class Room:
    """SNR and C50 in dB, None where they cannot be told.

    Attributes:
        speech_duration: seconds in which somebody speaks.
        snr_a, c50_a: over the whole clip (DataSpeech until May 2024).
        snr_b, c50_b: over its speech (DataSpeech since); None where there is none.
        reason: why something is missing.
    """

    speech_duration: float | None = None
    snr_a: float | None = None
    c50_a: float | None = None
    snr_b: float | None = None
    c50_b: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Quality:
    """STOI (0 to 1), PESQ (1 to 4.64), SI-SDR (dB); None where not measured."""

    stoi: float | None = None
    pesq: float | None = None
    si_sdr: float | None = None
    reason: str | None = None
