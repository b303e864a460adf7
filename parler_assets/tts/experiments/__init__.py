"""Checkpoints beside each other: evaluation, sweeps, seeds."""
