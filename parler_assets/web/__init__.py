"""What stands in front of every page and port of this project: one guard, and the limits of one connection."""
