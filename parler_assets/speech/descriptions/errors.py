"""The error that this package raises."""


class DescriptionError(RuntimeError):
    """Descriptions that cannot be made or found; the message names the setting, file or address and the remedy."""
