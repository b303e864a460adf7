"""How the sample's base checkpoint is made, from nothing: `python -m parler_assets.sample.pretraining FOLDER`.

The codec is a DacModel whose latent is a vocoder's: envelope, pitch, voicing and phase of the fundamental. `analysis`
measures them, `codebooks` are designed for them, `oscillators` turn pitch and phase into carriers inside the decoder,
and encoder and decoder learn the rest, each by itself.
"""
