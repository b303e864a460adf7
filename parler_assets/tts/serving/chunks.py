"""A text cut into what a model says at once: sentences joined while they fit, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator

from parler_assets.tts.data.texts import ENDS, has_word, sentences_of

CHUNK = 220  # characters spoken at once, at most


def chunks(text: str, most: int = CHUNK, sentences: int | None = None) -> list[str]:
    """Sentences joined up to `most` characters, and `sentences` of them; nothing is lost.

    A longer sentence is cut at a comma or a space. What has no word stands with its neighbour where it fits.
    """
    pieces: list[str] = []
    counts: list[int] = []
    for sentence in sentences_of(text):
        for part in _cut(sentence, most):
            fits = pieces and len(pieces[-1]) + 1 + len(part) <= most
            count = int(has_word(part))
            if fits and (sentences is None or counts[-1] + count <= sentences):
                pieces[-1] += f" {part}"
                counts[-1] += count
            else:
                pieces.append(part)
                counts.append(count)
    return pieces


def opened(text: str, most: int, sentences: int | None = None) -> list[str]:
    """The first sentences, up to half of `most` characters, then chunks that have room beside them.

    Nothing where already the first sentence is longer: cutting it would be heard more than a change of voice.
    """
    first = chunks(text, most // 2, sentences)[0]
    if not first.endswith(ENDS):
        return []
    return [first, *chunks(text[len(first) :].strip(), min(CHUNK, most - len(first) - 1), sentences)]


def _cut(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        commas, spaces = (sentence.rfind(mark, most // 2, most) for mark in (", ", " "))
        at = commas if commas >= 0 else spaces
        at = at + 1 if at >= 0 else most
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence
