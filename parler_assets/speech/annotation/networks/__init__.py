"""The published annotation networks in plain torch."""
