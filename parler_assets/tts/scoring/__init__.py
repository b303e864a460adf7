"""Scores of generated speech beside real clips, copies, the base and chance."""
