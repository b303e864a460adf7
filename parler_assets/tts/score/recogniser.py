"""Intelligibility by a grammar recogniser: pocketsphinx with a grammar of the corpus's own sentences' words, offline.

It chooses among the sentences the corpus can contain, word slots interchangeable, so its error rate is an alarm for
speech nobody can understand and not comparable with the error rate of an open recogniser such as Whisper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from parler_assets.speech.audio import Clip

RATE = 16000
NAME = "pocketsphinx with a grammar of the corpus's sentences"


class RecogniserError(RuntimeError):
    """No recogniser for this corpus; the message is the reason shown in the scorecard."""


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return re.findall(r"[a-z']+", text.lower().replace("’", "'"))


def grammar_of(sentences: Iterable[str]) -> str:
    """A JSGF grammar that accepts each of the sentences and nothing else."""
    distinct = sorted({" ".join(words_of(sentence)) for sentence in sentences} - {""})
    return "#JSGF V1.0;\ngrammar sentences;\npublic <sentence> = " + " |\n ".join(distinct) + ";\n"


def word_errors(reference: str, heard: str) -> tuple[int, int]:
    """(substitutions + deletions + insertions, words of the reference)."""
    import jiwer

    wanted = words_of(reference)
    if not wanted:
        return len(words_of(heard)), 0
    found = jiwer.process_words(" ".join(wanted), " ".join(words_of(heard)))
    return found.substitutions + found.deletions + found.insertions, len(wanted)


class Recogniser:
    """Hears one of the known sentences, or nothing.

    Raises:
        RecogniserError: pocketsphinx is not installed, the corpus is open or its words are not in the dictionary.
    """

    MOST = 400

    def __init__(self, sentences: Sequence[str]) -> None:
        try:
            import pocketsphinx
        except ImportError:
            raise RecogniserError("pocketsphinx is not installed (extra `sample`)") from None
        distinct = sorted({" ".join(words_of(sentence)) for sentence in sentences} - {""})
        if not 2 <= len(distinct) <= self.MOST:
            raise RecogniserError(f"{len(distinct)} distinct sentences, a grammar needs 2 to {self.MOST}")
        unknown = sorted({word for line in distinct for word in line.split()} - _dictionary(pocketsphinx))
        if unknown:
            raise RecogniserError(f"words outside its dictionary: {', '.join(unknown[:5])}")
        self.chance = f"1 in {len(distinct)} sentences"
        self.decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", samprate=RATE)
        self.decoder.add_jsgf_string("sentences", grammar_of(distinct))
        self.decoder.activate_search("sentences")

    def hear(self, clip: Clip) -> str:
        """The best matching sentence; empty where none matches."""
        samples = clip.at(RATE).samples
        scaled = samples * (0.5 / max(float(np.abs(samples).max(initial=0)), 1e-4))
        self.decoder.start_utt()
        self.decoder.process_raw((scaled * 32767).astype("<i2").tobytes(), full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return found.hypstr if found else ""


def _dictionary(pocketsphinx) -> set[str]:
    path = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    return {line.split(" ", 1)[0] for line in path.read_text(encoding="utf-8").splitlines()}
