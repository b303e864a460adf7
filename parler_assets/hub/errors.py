"""What goes wrong between this machine and published files, for everything above to raise and to catch."""


class SourceError(RuntimeError):
    """A source that cannot be read at all; the message names the file or setting and the remedy."""


class AnnotatorError(RuntimeError):
    """An annotator cannot work: its package or its weights are missing; the message says what to do."""
