"""Words of a text, and how many of them a transcript has wrong."""

from __future__ import annotations

import re

COUNTS = ("deleted", "inserted", "replaced", "equal", "word_errors", "words")


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return re.findall(r"[a-z']+", text.lower().replace("’", "'"))


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
