"""Speech synthesized at run time: the sample's corpora, and what its base checkpoint was pretrained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from parler_assets.hub.errors import SourceError
from parler_assets.recipe import SyntheticSource, digest
from parler_assets.speech.audio import encode
from parler_assets.speech.sources.source import RawClip

VERSION = "1"  # of the voices, sentences and effects in parler_assets.sample


class SyntheticCorpus:
    """Clips spoken by espeak-ng, bit for bit the same on every machine with the same wheel."""

    commits: Mapping[str, str] = {}

    def __init__(self, source: SyntheticSource) -> None:
        self.source = source

    @property
    def fingerprint(self) -> str:
        return digest(self.source, VERSION)

    def ids(self) -> list[str]:
        return [clip.id for clip in self._clips()]

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        from parler_assets.sample.espeak import RATE, EspeakError
        from parler_assets.sample.plan import render

        clips = self._clips()[start:stop]
        try:
            sounds = render(clips)
        except EspeakError as error:
            raise SourceError(f"synthetic corpus: {error}") from None
        for clip, samples in zip(clips, sounds, strict=True):
            yield RawClip(clip.id, encode(samples, RATE), clip.text, clip.speaker, clip.style, clip.gender)

    def _clips(self) -> list:
        from parler_assets.sample.plan import PLANS

        return PLANS[self.source.voices](self.source.clips, self.source.seed)
