"""The listening report."""
