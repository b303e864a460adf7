"""The pronouncing lexicon that transcripts are phonemised with, and whose words descriptions may use."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def lexicon() -> dict[str, str]:
    """Word to IPA (`README.md` beside it)."""
    file = resources.files("parler_assets.speech.lexicon") / "cmudict_ipa.tsv.gz"
    return dict(line.split("\t") for line in gzip.decompress(file.read_bytes()).decode().splitlines())
