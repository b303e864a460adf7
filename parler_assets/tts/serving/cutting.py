"""How passages of a text become the parts that are spoken, and the silence around each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parler_assets.tts.data.texts import has_word
from parler_assets.tts.serving.chunks import CHUNK, chunks, opened
from parler_assets.tts.serving.plan import PAUSE
from parler_assets.tts.serving.text import Passage


@dataclass(frozen=True)
class Cutting:
    """What fits into a part.

    Attributes:
        most: characters.
        sentences: that the checkpoint says at once; None: any.
        together: characters of two parts of which one continues from the other; None: none does.
        following: as `sentences`, of parts that continue.
    """

    most: int
    sentences: int | None
    together: int | None = None
    following: int | None = None

    def cut(self, passages: Sequence[Passage]) -> tuple[list[str], list[float], bool]:
        """Parts, the seconds of silence before each and behind the last, and whether they continue from the first."""
        pieces = [self._pieces(passage.text, self.most, self.sentences) for passage in passages]
        carried = self._carried(passages) if sum(map(len, pieces)) > 1 else None
        pieces = carried or pieces
        pauses = [0.0]
        for passage, own in zip(passages, pieces, strict=True):
            pauses += [PAUSE] * len(own)
            if passage.pause is not None:
                pauses[-1] = passage.pause if own else pauses[-1] + passage.pause
        if passages[-1].pause is None and pieces[-1]:
            pauses[-1] = 0.0
        return [part for own in pieces for part in own], pauses, carried is not None

    def _carried(self, passages: Sequence[Passage]) -> list[list[str]] | None:
        """The pieces of all passages with room for the first beside each; None where the first leaves none."""
        if self.together is None:
            return None
        place = next(place for place, passage in enumerate(passages) if has_word(passage.text))
        first, *others = opened(passages[place].text, self.together, self.following) or [""]
        if not first:
            return None
        most = min(CHUNK, self.together - len(first) - 1)
        own = [[first, *filter(has_word, others)]]
        later = [self._pieces(passage.text, most, self.following) for passage in passages[place + 1 :]]
        found = [*[[] for _ in passages[:place]], *own, *later]
        return found if sum(map(len, found)) > 1 else None

    @staticmethod
    def _pieces(text: str, most: int, sentences: int | None) -> list[str]:
        return [piece for piece in chunks(text, most, sentences) if has_word(piece)]
