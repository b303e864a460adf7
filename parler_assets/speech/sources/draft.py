"""A recipe for somebody's own recordings, drafted from what lies in their folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from parler_assets.intake import Refusal
from parler_assets.intake.names import shown
from parler_assets.recipe import Columns, FolderSource
from parler_assets.recipe.names import LONGEST, sayable

if TYPE_CHECKING:
    from parler_assets.speech.sources.folder import FolderCorpus, Row

# Column names that speaker, style and gender go by.
USUAL = {
    "id": ("id", "clip_id"),
    "speaker": ("speaker", "speaker_id", "speaker_name", "spk"),
    "style": ("style", "emotion"),
    "gender": ("gender", "sex"),
}
GENDERS = {"m": "male", "male": "male", "f": "female", "female": "female"}
UPDATES = 300  # of a small fine-tuning: epochs follow from it and the number of clips
LISTENED = 200  # recordings whose length is looked up


class OwnDataError(ValueError):
    """A folder that no recipe can be drafted from; the message says what to add."""


@dataclass(frozen=True)
class Draft:
    """A recipe as text, and what was found in the folder."""

    text: str
    clips: int
    minutes: float
    speakers: Sequence[str]
    styles: Sequence[str]
    remarks: Sequence[str] = field(default_factory=list)


def draft_recipe(folder: Path, name: str, recipe_folder: Path, speaker: str | None, gender: str | None) -> Draft:
    """A recipe over the recordings in `folder`, to be saved in `recipe_folder`.

    Args:
        speaker: what the speaker is called in descriptions where the table has no speaker column.
        gender: male or female, for that speaker.

    Raises:
        SourceError: no table of texts, or one without the columns audio and text.
        OwnDataError: the recordings cannot make a recipe.
    """
    from parler_assets.speech.sources.folder import FolderCorpus, open_folder

    columns = _columns(folder)
    corpus = open_folder(FolderSource(kind="folder", path=folder, columns=columns))
    if not isinstance(corpus, FolderCorpus):
        raise OwnDataError(f"{folder}: written by save_to_disk; copy a recipe and name its columns there instead")
    rows = _present(corpus)
    speakers, styles = _count(row.speaker for row in rows), _count(row.style for row in rows)
    if not speakers and not speaker:
        raise OwnDataError(f"{folder}: the table has no speaker column: say who speaks with --speaker NAME")
    names = {raw: _readable(raw) for raw in speakers} or {"": speaker or ""}
    unsaid = [raw for raw, name in names.items() if not sayable("name", name)]
    unsaid += [style for style in styles if not sayable("style", style)]
    names = {raw: name for raw, name in names.items() if raw not in unsaid}
    styles = [style for style in styles if style not in unsaid]
    if not names:
        raise OwnDataError(f"{folder}: no speaker's name can be said in a description: {_first(unsaid)}; rename them")
    genders = _genders(rows, names, gender)
    minutes = _minutes([row.path for row in rows])
    text = _template().render(
        name=name,
        folder=os.path.relpath(folder, recipe_folder),
        clips=len(rows),
        minutes=minutes,
        columns=columns.model_dump(include=columns.model_fields_set),
        names=names,
        genders=genders,
        styles=styles or ["default"],
        epochs=max(4, min(20, round(UPDATES * 16 / len(rows)))),
    )
    remarks = _remarks(rows, corpus, names, genders)
    if unsaid:
        told = "speakers and styles that cannot be said in a description, left out of the recipe"
        remarks.append(f"{told}: {_first(unsaid)}; their clips will be set aside, rename them in the table")
    return Draft(text, len(rows), minutes, list(names.values()), styles, remarks)


def _first(values: Sequence[str]) -> str:
    return ", ".join(repr(shown(value)[:LONGEST]) for value in values[:5])


def _columns(folder: Path) -> Columns:
    """The columns of the table that speaker, style and gender are found in."""
    from parler_assets.speech.sources.folder import column_names

    present = {name.lower(): name for name in column_names(folder)}
    found = {ours: next((present[n] for n in names if n in present), None) for ours, names in USUAL.items()}
    return Columns(**{ours: theirs for ours, theirs in found.items() if theirs})


def _present(corpus: FolderCorpus) -> list[Row]:
    rows = [row for row in corpus.rows if row.problem is None and row.text.strip()]
    if not rows:
        first = corpus.rows[0]
        raise OwnDataError(f"no row has both a recording and a text; the first names {first.path}, text {first.text!r}")
    return rows


def _count(values) -> list[str]:
    return [value for value, _ in Counter(value for value in values if value).most_common()]


def _readable(raw: str) -> str:
    """`spk_ann` as a name in an English sentence."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", raw) if word]
    name = " ".join(word[:1].upper() + word[1:] for word in words) or raw
    return f"Speaker {name}" if name[:1].isdigit() else name


def _genders(rows: Sequence[Row], names: Mapping[str, str], gender: str | None) -> dict[str, str]:
    stated = {row.speaker or "": GENDERS.get((row.gender or "").lower()) for row in rows}
    found = {names[raw]: stated.get(raw) or (gender if len(names) == 1 else None) for raw in names}
    return {name: value for name, value in found.items() if value}


def _minutes(paths: Sequence[Path]) -> float:
    """Minutes of sound, from the headers of the first recordings."""
    from parler_assets.intake.sounds import sound_seconds

    seconds = []
    for path in paths[:LISTENED]:
        try:
            seconds.append(sound_seconds(path))
        except (Refusal, OSError, RuntimeError):
            continue
    return round(sum(seconds) / 60 * len(paths) / max(1, len(paths[:LISTENED])), 1)


def _remarks(rows, corpus, names: Mapping[str, str], genders: Mapping[str, str]) -> list[str]:
    left_out = len(corpus.rows) - len(rows)
    unknown = [name for name in names.values() if name not in genders]
    remarks = []
    if left_out:
        remarks.append(f"rows without a recording or text: {left_out}; they will be set aside, with the reason")
    if unknown:
        remarks.append(f"pitch is described relative to gender: fill in genders for {', '.join(unknown[:5])}")
    if len(rows) < 50:
        remarks.append("fewer than 50 clips: expect to see how it works, not a good voice")
    return remarks


def _template():
    import jinja2

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    text = (resources.files("parler_assets.recipe") / "shipped" / "own.yaml.j2").read_text(encoding="utf-8")
    return environment.from_string(text)
