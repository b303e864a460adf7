"""The Parler-TTS model: configuration, decoder, generation, checkpoints, tokenizers."""
