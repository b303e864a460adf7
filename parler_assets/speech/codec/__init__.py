"""DAC: clips to codes and back."""
