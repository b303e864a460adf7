"""From measurements to words."""
