"""Texts that lie beside sounds: a file of the same name for each (a.txt, a.lab, a.normalized.txt), or lists of them.

A list is a text file whose lines begin with the names of recordings, as LibriSpeech's `84-121123.trans.txt`, ESD's
`0011.txt` (name, text, emotion) and Festival's `txt.done.data` have it. A text belongs to the recording of its name in
the same folder, or in a folder that is called the same but for words such as wav and txt.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from parler_assets.intake import Refusal
from parler_assets.intake.files import read_text
from parler_assets.intake.tables import Lines
from parler_assets.recipe.spellings import style_of
from parler_assets.speech.sources.by_content import STYLES
from parler_assets.speech.sources.recordings import LITTER, Recordings, folded_path

ENDINGS = (".normalized.txt", ".norm.txt", ".transcript.txt", ".txt", ".text", ".lab", ".trn", ".original.txt")
LISTS = (".txt", ".data", ".trn", ".tsv", ".transcription")
LONGEST = 1 << 16  # bytes of one recording's text
PLAIN_FOLDERS = re.compile(
    r"wav|wavs|wav\d+\w*|wavs_\w+|flac\d*|mp3s?|ogg|audios?|sounds?|clips?|recordings?|speech|txts?|texts?|labs?|"
    r"labels?|etc|transcripts?|transcriptions?|prompts?|data|corpus|dataset|(train|dev|test|eval\w*|valid\w*)([-_]\w+)*",
    re.IGNORECASE,
)
_FESTIVAL = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*\)')
_ALIGNED = re.compile(r"[\d.]+\s+[\d.]+\s+\S+")  # HTK and Audacity: start, end, label


@dataclass(frozen=True)
class Said:
    """What a file says of a recording: `where` it lies, and its text unless the whole file is the text."""

    where: str
    rank: int
    text: str | None = None
    style: str | None = None


class Texts:
    """The texts beside the recordings of some folders."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings = recordings
        self._stems: dict[str, int] = defaultdict(int)
        for path in recordings.all:
            self._stems[_stem(path)] += 1

    def of(self, path: str, name: str) -> tuple[str, str | None, str | None]:
        """Text, style and problem of a recording by its relative path; `name` is what its text is called."""
        key = folded_path(name)
        fitting = [said for said in self._found.get(key, ()) if self._belongs(said.where, path)]
        if not fitting:
            return "", None, f"no text: none called {name}.txt or .lab lies beside it, and no list names it"
        best = max(_shared(said.where, path) for said in fitting)
        nearest = sorted((said for said in fitting if _shared(said.where, path) == best), key=lambda said: said.rank)
        first = nearest[0]
        if other := next((said for said in nearest[1:] if _folder(said.where) != _folder(first.where)), None):
            return "", None, f"text: it may be {first.where} or {other.where}: keep one of them"
        if first.text is not None:
            return first.text, first.style, None
        return self._read(first.where)

    def __bool__(self) -> bool:
        return any(stem in self._found for stem in self._stems) or any(said.text for some in self._found.values()
                                                                       for said in some)  # fmt: skip

    def _belongs(self, text: str, sound: str) -> bool:
        """In one folder, or in folders of the same names, or above it where no other recording has that name."""
        mine, its = _own_folders(text), _own_folders(sound)
        if _folder(text) == _folder(sound) or mine == its:
            return True
        return mine == its[: len(mine)] and (self._stems[_stem(sound)] < 2)

    def _read(self, where: str) -> tuple[str, str | None, str | None]:
        try:
            lines = read_text(self.recordings.folders.find([where]), LONGEST).split("\n")
        except (OSError, Refusal) as error:
            return "", None, f"text: {where}: {error.within if isinstance(error, Refusal) else error}"
        lines = [" ".join(line.split()) for line in lines if line.strip()]
        if lines and all(map(_ALIGNED.fullmatch, lines)):
            return "", None, f"text: {where} holds times and labels, not what is said: write the words into a .txt"
        return " ".join(lines), None, None

    @cached_property
    def _found(self) -> dict[str, list[Said]]:
        found: dict[str, list[Said]] = defaultdict(list)
        for where in self._files():
            ending = next((end for end in ENDINGS if where.lower().endswith(end)), None)
            stem = folded_path(os.path.basename(where[: -len(ending)])) if ending else ""
            if stem and (stem in self._stems or not self._list(where, found)):
                found[stem].append(Said(where, ENDINGS.index(ending or "")))
            elif not ending:
                self._list(where, found)
        return found

    def _files(self) -> Iterator[str]:
        for root in self.recordings.folders.roots:
            for place, folders, files in os.walk(root):
                folders[:] = sorted(name for name in folders if not name.startswith((".", *LITTER)))
                for file in sorted(files):
                    if not file.startswith(".") and file.lower().endswith((*ENDINGS, *LISTS)):
                        yield os.path.relpath(os.path.join(place, file), root).replace(os.sep, "/")

    def _list(self, where: str, found: dict[str, list[Said]]) -> bool:
        """Note what a list says; whether the file is one: at least half of its lines name a recording."""
        try:
            lines = [line.strip() for line in Lines(self.recordings.folders.find([where])) if line.strip()]
        except (OSError, Refusal):
            return False
        entries = [entry for line in lines if (entry := self._entry(line))]
        if not entries or len(entries) * 2 < len(lines):
            return False
        for name, text, style in entries:
            found[name].append(Said(where, len(ENDINGS), text, style))
        return True

    def _entry(self, line: str) -> tuple[str, str, str | None] | None:
        """Name, text and style in a line, where it begins with the name of a recording."""
        if festival := _FESTIVAL.fullmatch(line):
            cells = [festival[1], festival[2]]
        else:
            mark = next((mark for mark in ("\t", "|") if mark in line), None)
            cells = line.split(mark) if mark else line.split(None, 1)
        name = folded_path(Path(cells[0].strip()).name)
        name = name if name in self._known else os.path.splitext(name)[0]
        if name not in self._known or len(cells) < 2:
            return None
        style = cells[-1].strip() if len(cells) > 2 and style_of(cells[-1]) in STYLES else None
        return name, " ".join(cells[1].split()), style

    @cached_property
    def _known(self) -> set[str]:
        """Names of recordings, and those without what microphones add."""
        return {*self._stems, *(re.sub(r"_mic\d$", "", stem) for stem in self._stems)}


def _stem(path: str) -> str:
    return folded_path(os.path.splitext(os.path.basename(path))[0])


def _folder(path: str) -> str:
    return os.path.dirname(path)


def _own_folders(path: str) -> list[str]:
    """Names of the folders on the way, those apart that every corpus has."""
    return [folded_path(part) for part in _folder(path).split("/") if part and not PLAIN_FOLDERS.fullmatch(part)]


def _shared(text: str, sound: str) -> int:
    """How near a text lies: the folders that both have, one more in the same folder."""
    return len(set(_own_folders(text)) & set(_own_folders(sound))) + (_folder(text) == _folder(sound))
