"""A recipe for somebody's own recordings, drafted from what lies in their folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parler_assets.intake import Refusal
from parler_assets.intake.names import shown
from parler_assets.recipe import Columns, FolderSource
from parler_assets.recipe.names import LONGEST, sayable
from parler_assets.recipe.spellings import gender_of, style_of
from parler_assets.speech.sources.speaker_names import NOBODY, speaker_names
from parler_assets.speech.text import spoken_form
from parler_assets.speech.text.languages import language_doubt

if TYPE_CHECKING:
    from parler_assets.speech.sources.folder import Row

UPDATES = 300  # of a small fine-tuning: epochs follow from it and the number of clips
SPOKEN = 8  # speakers of an evaluation, at most
LOST = 0.1  # share of rows without recording or text above which no recipe is drafted
LISTENED = 200  # recordings whose length is looked up


class OwnDataError(ValueError):
    """A folder that no recipe can be drafted from; the message says what to add."""


@dataclass(frozen=True)
class Draft:
    """A recipe as text, and what was found in the folder."""

    text: str
    clips: int
    minutes: float | None
    speakers: Sequence[str]
    styles: Sequence[str]
    texts: Sequence[str]
    remarks: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What a draft is made from: the source as the recipe will have it, its rows, and what is said about them."""

    source: Mapping[str, Any]
    rows: Sequence[Row]
    minutes: float | None
    shown: Sequence[str]
    language: str = "en"
    licence: str | None = None


def draft_recipe(
    found: Found,
    place: str,
    name: str,
    speaker: str | None,
    gender: str | None,
    language: str | None = None,
    base: str | None = None,
) -> Draft:
    """A recipe over recordings that were found by `in_folder` or `hub_draft.on_hub`.

    Args:
        place: where they were found, for messages.
        speaker: what the speaker is called in descriptions where no column or folder says it.
        gender: male or female, for that speaker.
        language: of the texts, such as de; None: what the source says, else en.
        base: folder or Hub repository of the checkpoint to start from; None: the small one that is shipped.

    Raises:
        OwnDataError: the recordings cannot make a recipe.
    """
    rows, language = _present(found.rows, place), language or found.language
    voices = _voices(rows, place, speaker, gender)
    text = _template().render(
        language=language,
        base={} if base is None else {"path" if Path(base).is_dir() else "repo": base},
        name=name,
        source=found.source,
        licence=found.licence,
        clips=len(rows),
        minutes=found.minutes,
        names=voices.names,
        heard=voices.heard,
        genders=voices.genders,
        styles=voices.styles or ["default"],
        epochs=max(4, min(20, round(UPDATES * 16 / len(rows)))),
    )
    remarks = [*found.shown, *_remarks(rows, found.rows, voices), *voices.remarks()]
    if doubt := language_doubt((row.text for row in rows), language):
        remarks.append(f"{doubt}; say it with --language")
    texts = [spoken_form(row.text, language) for row in rows]
    return Draft(text, len(rows), found.minutes, list(voices.names.values()), voices.styles, texts, remarks)


def in_folder(folder: Path, recipe_folder: Path, given: FolderSource, speaker: bool = False) -> Found:
    """The recordings of a folder with a table of texts, or with texts beside them.

    Args:
        recipe_folder: where the recipe will lie, which names the folder from there.
        given: what the command line says of table, columns and pattern.
        speaker: somebody was named who speaks all of them.

    Raises:
        SourceError: no texts, or a table without the columns audio and text.
        OwnDataError: a folder whose recipe is not drafted.
    """
    from parler_assets.speech.sources.folder import FolderCorpus, open_folder

    source = _settled(given, speaker)
    corpus = open_folder(source)
    if not isinstance(corpus, FolderCorpus):
        raise OwnDataError(f"{folder}: written by save_to_disk; copy a recipe and name its columns there instead")
    stated = {
        "kind": "folder",
        "path": os.path.relpath(folder, recipe_folder),
        "metadata": os.path.relpath(source.metadata, recipe_folder) if source.metadata else None,
        "columns": source.columns.model_dump(include=source.columns.model_fields_set),
        "pattern": source.pattern,
        "values": source.values,
    }
    said = {key: value for key, value in stated.items() if value}
    usable = [row.path for row in corpus.rows if row.problem is None]
    return Found(said, corpus.rows, _minutes(usable), _shown(source, corpus.rows))


@dataclass(frozen=True)
class _Voices:
    """Who speaks and how: names by the table's ids ("" for rows without one), and styles that can be said or cannot."""

    names: Mapping[str, str]
    genders: Mapping[str, str]
    styles: Sequence[str]
    unsaid: Sequence[str]
    nameless: int

    @property
    def heard(self) -> list[str]:
        """The speakers of an evaluation."""
        return _evenly(list(dict.fromkeys(self.names.values())), SPOKEN)

    def remarks(self) -> Iterator[str]:
        speakers, heard = len(set(self.names.values())), len(self.heard)
        renamed = [f"{raw!r} is {name}" for raw, name in self.names.items() if raw and raw != name]
        if renamed:
            yield f"speakers as descriptions call them: {', '.join(renamed[:5])}{' ...' * (len(renamed) > 5)}"
        if self.nameless and len(self.names) > 1:
            yield f"rows that name no speaker: {self.nameless}; spoken by {self.names['']!r}, see speaker_names"
        if heard < speakers:
            yield f"{heard} of {speakers} speakers are evaluated, see evaluation.speakers"
        yield f"evaluation: {heard * max(1, len(self.styles)) * 3} sentences for each checkpoint, and a few more"
        if self.unsaid:
            told = "styles that cannot be said in a description, left out of the recipe"
            yield f"{told}: {_first(self.unsaid)}; their clips will be set aside, rename them in the table"


def _voices(rows: Sequence[Row], folder: str, speaker: str | None, gender: str | None) -> _Voices:
    speakers, styles = _count(row.speaker for row in rows), _count(style_of(row.style) for row in rows)
    if not speakers and not speaker:
        raise OwnDataError(
            f"{folder}: no column names the speakers: say who speaks with --speaker NAME, or which folders "
            "and names are speakers with --pattern, as in '{speaker}/{id}'"
        )
    if speaker and not sayable("name", speaker):
        raise OwnDataError(f"--speaker {shown(speaker)[:LONGEST]!r}: give one to four words that begin with a letter")
    names, nameless = speaker_names(speakers), sum(not row.speaker for row in rows)
    if nameless:
        names[""] = speaker or NOBODY
    unsaid = [style for style in styles if not sayable("style", style)]
    said = [style for style in styles if style not in unsaid]
    if unsaid and not said:
        raise OwnDataError(f"{folder}: no style can be said in a description: {_first(unsaid)}; rename them")
    return _Voices(names, _genders(rows, names, gender), said, unsaid, nameless)


def _first(values: Sequence[str]) -> str:
    return ", ".join(repr(shown(value)[:LONGEST]) for value in values[:5])


def _settled(given: FolderSource, speaker: bool) -> FolderSource:
    """The source with its columns, as its header names them or what stands in them tells, and with its pattern."""
    from parler_assets.speech.sources.folder import lies_beside, read_table
    from parler_assets.speech.sources.layout import by_folders, pattern_of
    from parler_assets.speech.sources.recordings import Recordings
    from parler_assets.speech.sources.save_to_disk import is_saved

    if is_saved(given.path) or not given.path.is_dir():
        return given
    if lies_beside(given):
        pattern = given.pattern or pattern_of(given, Recordings(given.path).all, speaker)
        return given.model_copy(update={"pattern": pattern})
    read, chosen, _ = read_table(given)
    named = given.columns.model_fields_set
    kept = {o: t for o, t in chosen.items() if getattr(Columns(), o) != t or o in named or not read.header}
    pattern = given.pattern
    if pattern is None and not speaker and "speaker" not in chosen:
        pattern = by_folders(Recordings(given.path).all)
    return given.model_copy(update={"columns": Columns(**kept), "pattern": pattern})


def _shown(source: FolderSource, rows: Sequence[Row]) -> list[str]:
    """What was taken for what, with the first two rows."""
    from parler_assets.speech.sources.folder import lies_beside, read_table

    if lies_beside(source):
        return _shown_beside(source, rows)
    table, chosen, _ = read_table(source)
    lines = _read_as(source)
    for record in table.records[:2]:
        taken = (f"{ours}={str(record.cells.get(theirs, ''))[:40]!r}" for ours, theirs in chosen.items())
        lines.append(f"line {record.row}: {', '.join(taken)}")
    unused = [name for name in table.names if name not in chosen.values()]
    return [*lines, *([f"columns not used: {', '.join(map(shown, unused[:8]))}"] if unused else [])]


def _shown_beside(source: FolderSource, rows: Sequence[Row]) -> list[str]:
    """The pattern, what it and the texts beside say of two recordings, and the recordings that it leaves out."""
    from parler_assets.speech.sources.recordings import Recordings

    first = [row for row in rows if not row.problem][:2]
    values = ("text", "speaker", "style", "gender", "accent", "age")
    lines = [f"{row.id}: " + ", ".join(f"{name}={str(getattr(row, name))[:40]!r}" for name in values
                                       if getattr(row, name)) for row in first]  # fmt: skip
    lines += _read_as(source)
    left = set(Recordings(source.path).all) - {row.path.relative_to(source.path).as_posix() for row in rows}
    return [*lines, *([f"recordings whose path is not like that, left out: {len(left)}, such as {min(left)}"] if left
                      else [])]  # fmt: skip


def _read_as(source: FolderSource) -> list[str]:
    told = f"names and folders are read as {source.pattern!r}: --pattern or --speaker if that is wrong"
    return [told] if source.pattern else []


def _present(given: Sequence[Row], folder: str) -> list[Row]:
    rows = [row for row in given if row.problem is None and row.text.strip()]
    lost = [row for row in given if row.problem or not row.text.strip()]
    first = f"{lost[0].id}: {lost[0].problem or 'no text'}" if lost else ""
    if not rows:
        raise OwnDataError(f"{folder}: no row has both a recording and a text; {first}")
    if (len(lost) > 1 and len(lost) > LOST * len(given)) or len(lost) * 2 >= len(given):
        raise OwnDataError(f"{folder}: {len(lost)} of {len(given)} rows cannot be used; the first is {first}")
    return rows


def _evenly(names: list[str], most: int) -> list[str]:
    """So many of them, spread over the whole list."""
    if len(names) <= most:
        return names
    return [names[place * len(names) // most] for place in range(most)]


def _count(values) -> list[str]:
    return [value for value, _ in Counter(value for value in values if value).most_common()]


def _genders(rows: Sequence[Row], names: Mapping[str, str], gender: str | None) -> dict[str, str]:
    stated = {row.speaker or "": gender_of(row.gender) for row in rows if gender_of(row.gender)}
    found = {names[raw]: stated.get(raw) or (gender if len(names) == 1 else None) for raw in names}
    return {name: value for name, value in found.items() if value}


def _minutes(paths: Sequence[Path]) -> float:
    """Minutes of sound, from the headers of the first recordings."""
    from parler_assets.intake.sounds import sound_seconds

    seconds = []
    for path in paths[:LISTENED]:
        try:
            seconds.append(sound_seconds(path) or 0.0)
        except (Refusal, OSError, RuntimeError):
            continue
    return round(sum(seconds) / 60 * len(paths) / max(1, len(paths[:LISTENED])), 1)


def _remarks(rows: Sequence[Row], given: Sequence[Row], voices: _Voices) -> list[str]:
    left_out = len(given) - len(rows)
    unknown = [name for name in voices.names.values() if name not in voices.genders]
    remarks = []
    if left_out:
        first = next(row for row in given if row.problem or not row.text.strip())
        why = f"{first.id or 'a row'}: {first.problem or 'no text'}"
        remarks.append(f"rows without a recording or text: {left_out}; they will be set aside, such as {why}")
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
