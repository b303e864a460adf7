"""Words of a text, and how many of them a transcript has wrong."""

from __future__ import annotations

import re
import unicodedata

_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # Thai to Han
COUNTS = ("deleted", "inserted", "replaced", "equal", "word_errors", "words")


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation and digits; of scripts that put no space between words, characters."""
    return "".join(map(_in_word, unicodedata.normalize("NFC", text).lower().replace("’", "'"))).split()


def _in_word(character: str) -> str:
    if character != "'" and unicodedata.category(character)[0] not in "LM":
        return " "
    return f" {character} " if _SPACELESS.match(character) else character


def errors_of(reference: str, transcript: str) -> dict[str, int]:
    """Words deleted, inserted, replaced and equal, and their sums `word_errors` and `words` (of the reference)."""
    import jiwer

    wanted, found = words_of(reference), words_of(transcript)
    if not wanted:
        return _counted(0, len(found), 0, 0)
    output = jiwer.process_words(" ".join(wanted), " ".join(found))
    return _counted(output.deletions, output.insertions, output.substitutions, output.hits)


def _counted(deleted: int, inserted: int, replaced: int, equal: int) -> dict[str, int]:
    counts = {"deleted": deleted, "inserted": inserted, "replaced": replaced, "equal": equal}
    return counts | {"word_errors": deleted + inserted + replaced, "words": deleted + replaced + equal}
