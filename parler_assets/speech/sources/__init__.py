"""Sources of clips: the Hugging Face Hub, a local folder, speech synthesized at run time."""

from __future__ import annotations

from pathlib import Path

from parler_assets.recipe import Corpus, FolderSource, HubSource
from parler_assets.speech.sources.source import RawClip, Source, SourceError

__all__ = ["RawClip", "Source", "SourceError", "open_source"]


def open_source(corpus: Corpus, cache: Path) -> Source:
    """The source a corpus names. Files fetched from elsewhere are kept in `cache`.

    Raises:
        SourceError: it cannot be read; the message says what to change.
    """
    source = corpus.source
    if isinstance(source, HubSource):
        from parler_assets.speech.sources.hub import HubCorpus

        return HubCorpus(source, cache)
    if isinstance(source, FolderSource):
        from parler_assets.speech.sources.folder import open_folder

        return open_folder(source)
    from parler_assets.sample.source import SyntheticCorpus

    return SyntheticCorpus(source)
