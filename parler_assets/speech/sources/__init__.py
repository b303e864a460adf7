"""Sources of clips: the Hugging Face Hub, a local folder, and what a room above registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parler_assets.hub.errors import SourceError
from parler_assets.recipe import Corpus, FolderSource, HubSource, Section
from parler_assets.speech.sources.source import RawClip, Source

__all__ = ["RawClip", "Source", "SourceError", "open_source", "published_with", "register"]


@dataclass(frozen=True)
class _Kind:
    """How one kind of source is opened, and the descriptions that it was published with, by id."""

    open: Callable[..., Source]
    descriptions: Callable[..., dict[str, str]] | None = None


_KINDS: dict[type[Section], _Kind] = {}


def register(
    settings: type[Section],
    open: Callable[..., Source],
    descriptions: Callable[..., dict[str, str]] | None = None,
) -> None:
    """Make a kind of source known.

    Args:
        settings: its section of a recipe.
        open: called with such a section and the cache's folder.
        descriptions: called with the section; None where its clips bring none.
    """
    _KINDS[settings] = _Kind(open, descriptions)


def open_source(corpus: Corpus, cache: Path) -> Source:
    """The source a corpus names. Files fetched from elsewhere are kept in `cache`.

    Raises:
        SourceError: it cannot be read; the message says what to change.
    """
    return _kind(corpus.source).open(corpus.source, cache)


def published_with(source: Section) -> dict[str, str]:
    """Id to the description that a source brings along.

    Raises:
        SourceError: it brings none.
    """
    descriptions = _kind(source).descriptions
    if descriptions is None:
        raise SourceError("this source has no descriptions of its own: set descriptions.repo or descriptions.path")
    return descriptions(source)


def _kind(source: Section) -> _Kind:
    try:
        return _KINDS[type(source)]
    except KeyError:
        kind = getattr(source, "kind", type(source).__name__)
        raise SourceError(f"no source of kind {kind} is registered here: import the package that brings it") from None


def _hub(source: HubSource, cache: Path) -> Source:
    from parler_assets.speech.sources.hub import HubCorpus

    return HubCorpus(source, cache)


def _folder(source: FolderSource, cache: Path) -> Source:
    from parler_assets.speech.sources.folder import open_folder

    return open_folder(source)


register(HubSource, _hub)
register(FolderSource, _folder)
