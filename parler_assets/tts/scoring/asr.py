"""Intelligibility by a grammar ASR: pocketsphinx with a grammar of the corpus's own sentences' words, offline.

It chooses among the sentences of the corpus, or among the words of each place where they are all of one pattern, so its
error rate is an alarm for speech nobody can understand and not comparable with that of an open ASR as Whisper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from parler_assets.recipe.spellings import is_english
from parler_assets.speech.audio import Clip
from parler_assets.tts.scoring.words import words_of

LEAST_OF_A_PATTERN = 12  # sentences of equal length that make a pattern
MOST = 400  # sentences of a grammar
RATE, FRAMES = 16000, 100  # samples and frames a second
# Clips are heard slower and lower by a tenth: its acoustic model knows few high voices. Measured on 96 of the sample's
# originals with its pattern: word error rate 0.121 as recorded (0.446 of the highest voice), 0.013 so (0.030).
SLOWER = 1.1
NAME = "pocketsphinx with a grammar of the corpus's sentences"


class AsrUnavailable(RuntimeError):
    """No grammar ASR for this corpus; the message is the reason shown in the scorecard."""


def slots(sentences: Iterable[str]) -> list[list[str]] | None:
    """The words of each place, where all sentences are of one pattern: as long as each other, every word in a few."""
    lines = [words_of(sentence) for sentence in sentences]
    if len({len(line) for line in lines}) != 1 or len(lines) < LEAST_OF_A_PATTERN:
        return None
    places = [sorted(set(words)) for words in zip(*lines, strict=True)]
    return places if max(map(len, places)) <= len(lines) / 3 else None


def grammar_of(sentences: Iterable[str], several: bool = False) -> str:
    """A JSGF grammar that accepts one sentence, or several, and nothing else.

    Sentences of one pattern: any word of a place at that place, also in sentences that are not in the list, so that
    every word has to be heard. Others: each of the sentences.
    """
    distinct = sorted({" ".join(words_of(sentence)) for sentence in sentences} - {""})
    places = slots(distinct)
    one = " ".join(f"({' | '.join(words)})" for words in places) if places else " |\n ".join(distinct)
    return f"#JSGF V1.0;\ngrammar sentences;\npublic <text> = ({one}){'+' if several else ''};\n"


class GrammarAsr:
    """Transcribes as one of the known sentences, or as nothing.

    Raises:
        AsrUnavailable: pocketsphinx is not installed, the corpus is open or its words are not in the dictionary.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        pocketsphinx = _pocketsphinx()
        distinct = sorted({" ".join(words_of(sentence)) for sentence in sentences} - {""})
        if not 2 <= len(distinct) <= MOST:
            raise AsrUnavailable(f"{len(distinct)} distinct sentences, a grammar needs 2 to {MOST}")
        unknown = sorted({word for line in distinct for word in line.split()} - dictionary())
        if unknown:
            raise AsrUnavailable(f"words outside its dictionary: {', '.join(unknown[:5])}")
        places = slots(distinct)
        self.chance = f"{len(places)} words of a pattern" if places else f"1 in {len(distinct)} sentences"
        self.decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", samprate=RATE, bestpath=False)
        for search, several in (("sentence", False), ("text", True)):
            self.decoder.add_jsgf_string(search, grammar_of(distinct, several))

    def transcribe(self, clip: Clip, several: bool = False) -> str:
        """The best matching sentence, or sentences; empty where none matches."""
        self.decoder.activate_search("text" if several else "sentence")
        self._decode(clip)
        found = self.decoder.hyp()
        return found.hypstr if found else ""

    def align(self, clip: Clip, text: str) -> list[tuple[float, float]]:
        """(start, end) in seconds of each word of `text` where it fits the clip best; empty where it does not."""
        words = words_of(text)
        try:
            self.decoder.set_align_text(" ".join(words))
        except RuntimeError:  # a word outside the dictionary
            return []
        self._decode(clip)
        if not self.decoder.hyp():
            return []
        found = [part for part in self.decoder.seg() if not part.word.startswith(("<", "["))]
        scale = FRAMES * SLOWER
        spans = [(part.start_frame / scale, (part.end_frame + 1) / scale) for part in found]
        return spans if len(spans) == len(words) else []

    def _decode(self, clip: Clip) -> None:
        samples = clip.at(round(RATE * SLOWER)).samples
        scaled = samples * (0.5 / max(float(np.abs(samples).max(initial=0)), 1e-4))
        self.decoder.start_utt()
        self.decoder.process_raw((scaled * 32767).astype("<i2").tobytes(), full_utt=True)
        self.decoder.end_utt()


def grammar_asr(sentences: Sequence[str], language: str = "en") -> tuple[GrammarAsr | None, str]:
    """The ASR of these sentences, or None and why there is none."""
    if not is_english(language):
        return None, f"the grammar ASR knows English alone, not {language}: set evaluation.recogniser"
    try:
        return GrammarAsr(sentences), ""
    except AsrUnavailable as error:
        return None, str(error)


@cache
def dictionary() -> frozenset[str]:
    """The words that it can hear.

    Raises:
        AsrUnavailable: pocketsphinx is not installed.
    """
    path = Path(_pocketsphinx().get_model_path()) / "en-us" / "cmudict-en-us.dict"
    return frozenset(line.split(" ", 1)[0] for line in path.read_text(encoding="utf-8").splitlines())


def _pocketsphinx() -> ModuleType:
    try:
        import pocketsphinx
    except ImportError:
        raise AsrUnavailable("pocketsphinx is not installed (extra `sample`)") from None
    return pocketsphinx
