"""Fine-tuning by a loop of our own on accelerate: what one training process does."""
