"""From expressive speech to a fine-tuned, measured Parler-TTS checkpoint, as Dagster assets."""
