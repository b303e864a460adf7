"""What the columns of a table without a header are, told by what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from parler_assets.hub.errors import SourceError
from parler_assets.recipe.spellings import gender_of, style_of
from parler_assets.speech.sources.text_table import TextTable

LOOKED_AT = 400  # rows
LANGUAGES = frozenset(
    [
        "en",
        "de",
        "fr",
        "es",
        "it",
        "pt",
        "nl",
        "pl",
        "ru",
        "zh",
        "ja",
        "ko",
        "cs",
        "sv",
        "da",
        "fi",
        "hu",
        "tr",
        "ar",
        "hi",
        "uk",
        "ro",
        "el",
        "he",
        "vi",
        "id",
        "cn",
        "jp",
    ]
)
STYLES = frozenset(
    [
        "default",
        "happy",
        "sad",
        "angry",
        "anger",
        "surprise",
        "surprised",
        "fear",
        "fearful",
        "disgust",
        "disgusted",
        "calm",
        "confused",
        "whisper",
        "laughing",
        "enunciated",
        "emphasis",
        "excited",
        "bored",
        "sleepy",
        "amused",
    ]
)


def columns_by_content(table: TextTable, named: Callable[[str], bool]) -> dict[str, str]:
    """Our names to the numbers of columns.

    Raises:
        SourceError: it cannot be told which is which; the message shows the first row and how to say it.
    """
    usable = [record for record in table.records if record.problem is None][:LOOKED_AT] or table.records[:LOOKED_AT]
    values = {name: [str(record.cells.get(name, "")).strip() for record in usable] for name in table.names}
    audio = [name for name in table.names if sum(map(named, values[name])) * 2 >= len(usable)]
    if not audio:
        audio = table.names[:1]  # what LJSpeech's layout names first; every row then says that it has no recording
    rest = [name for name in table.names if name not in audio]
    texts = [name for name in rest if _is_text(values[name])] or (rest if len(rest) == 1 else [])
    others = [name for name in rest if name not in texts]
    if len(texts) == 2 and not others and len(table.names) == 3:
        texts = texts[1:]  # LJSpeech: as written, and as it is said
    if len(audio) != 1 or len(texts) != 1:
        raise SourceError(_ambiguous(table, "which column is the text" if len(audio) == 1 else "the recording"))
    found = {"audio": audio[0], "text": texts[0]}
    for name in others:
        kind = _kind(values[name])
        if kind in found:
            raise SourceError(_ambiguous(table, f"which column is the {kind}"))
        found |= {kind: name} if kind else {}
    return found


def _is_text(cells: Sequence[str]) -> bool:
    return sum(len(cell.split()) > 1 and any(map(str.isalpha, cell)) for cell in cells) * 2 > len(cells)


def _kind(cells: Sequence[str]) -> str | None:
    """speaker, style or gender; None for what is of no use: languages, lengths, numbers that are all different."""
    given = [cell for cell in cells if cell]
    distinct = {cell.lower() for cell in given}
    if not given or distinct <= LANGUAGES or any(cell.replace(".", "", 1).isdigit() and "." in cell for cell in given):
        return None
    if all(map(gender_of, given)):
        return "gender"
    if {style_of(cell) for cell in given} <= STYLES:
        return "style"
    numbers = all(cell.isdigit() for cell in given)
    return None if numbers and len(distinct) * 2 > len(given) else "speaker"


def _ambiguous(table: TextTable, what: str) -> str:
    row = next(iter(table.records))
    shown = ", ".join(f"{name}: {str(value)[:40]!r}" for name, value in row.cells.items())
    return (
        f"{table.path}, line {row.row}: it cannot be told {what} ({shown}); say it with --column text=2 (init), "
        "--column speaker=3 and so on, or columns: {audio: '1', text: '2'} of the source, or give the table a header"
    )
