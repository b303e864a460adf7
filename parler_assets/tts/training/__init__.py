"""Fine-tuning on transformers' Trainer: what one training process does."""
