"""What a data set on the Hub tells of itself, for a draft: its card, the types of its columns, its texts; no sound."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from parler_assets.hub.errors import SourceError
from parler_assets.hub.files import RepoFiles
from parler_assets.hub.revisions import settled_commit
from parler_assets.intake.names import shown
from parler_assets.speech.sources.draft import Found
from parler_assets.speech.sources.folder import Row
from parler_assets.speech.sources.parquet import read_opened
from parler_assets.speech.sources.tables import class_names, row_id, strings_of
from parler_assets.speech.sources.text_table import USUAL, usual_column

SCHEME = "hf://"
OTHERS = ("text", "speaker", "style", "gender", "accent", "age")
_ADDRESS = re.compile(r"(?:datasets/)?([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?::([\w.-]+))?(?:/([\w.-]+))?")


@dataclass(frozen=True)
class Address:
    """`hf://owner/name@revision:config/split`, of which only the name must be given."""

    repo: str
    revision: str | None
    config: str | None
    split: str | None


def address_of(given: str) -> Address:
    """Raises SourceError where it is none."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    found = _ADDRESS.fullmatch(given.removeprefix(SCHEME).strip("/"))
    try:
        validate_repo_id(found[1] if found else "")
    except HFValidationError:
        found = None
    if found is None:
        raise SourceError(f"{given}: write hf://owner/name, with @revision, :config and /split behind it where needed")
    return Address(*found.groups())


def on_hub(given: str, named: Mapping[str, str]) -> Found:
    """The rows of a data set without their sound; whole files are not fetched.

    Args:
        given: its address.
        named: our names of columns to its own, where they are not told rightly.

    Raises:
        SourceError: no such set, several configs or splits of which none is named, or columns that cannot be told.
    """
    address = address_of(given)
    commit = settled_commit(address.repo, address.revision or "main")
    files = RepoFiles(address.repo, commit)
    config, split = _chosen(files, address)
    home, names = files.of_split(config, split)
    columns: dict[str, str] = {}

    def choose(schema: pa.Schema) -> Sequence[str]:
        columns.update(columns or _columns(schema, named, address.repo))
        return [theirs for ours, theirs in columns.items() if ours != "audio"]

    rows: list[Row] = []
    for name in names:
        with home.open(name) as file:
            rows += _rows(read_opened(file, f"{address.repo}/{name}", choose), columns, len(rows))
    ids = [row.id for row in rows]
    if "id" in columns and "id" not in named and len(set(ids)) < len(ids):
        columns.pop("id")  # a number that begins anew in every file, or a speaker's
    source: dict[str, Any] = {"kind": "hub", "repo": address.repo, "config": config, "split": split}
    source |= {"revision": address.revision or "main", "columns": {"id": None, **columns}}
    return Found(source, rows, None, _shown(rows, columns), _language(files.card), _licence(files.card))


def _chosen(files: RepoFiles, address: Address) -> tuple[str, str]:
    """Config and split: those named, the only ones, or default and train."""
    offered = files.splits()
    config = address.config or _only(list(offered), "default", f"{address.repo}: configs", f"{address.repo}:")
    where = f"{address.repo}:{config}"
    return config, address.split or _only(offered.get(config) or ["train"], "train", f"{where}: splits", f"{where}/")


def _only(offered: Sequence[str], usual: str, what: str, address: str) -> str:
    if usual in offered or not offered:
        return usual
    if len(offered) > 1:
        raise SourceError(f"{what} {', '.join(offered[:12])}: choose one, as in {SCHEME}{address}{offered[0]}")
    return offered[0]


def _columns(schema: pa.Schema, named: Mapping[str, str], origin: str) -> dict[str, str]:
    """Our names to its columns: sound by its type, the others by their usual names, a text also as the only one."""
    if strange := [theirs for theirs in named.values() if theirs not in schema.names]:
        raise SourceError(f"{origin} has no column {strange[0]!r}: it has {', '.join(schema.names)}")
    sounds = [field.name for field in schema if _is_sound(field.type)]
    plain = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    labelled = [*plain, *class_names(schema, [f.name for f in schema if pa.types.is_integer(f.type)])]
    numbers = [field.name for field in schema if pa.types.is_integer(field.type)]
    usable = {
        "audio": sounds,
        "id": plain,
        "text": plain,
        "speaker": [*labelled, *numbers],
        "age": [*labelled, *numbers],
    }
    found = {ours: usual_column(ours, usable.get(ours, labelled)) for ours in USUAL}
    found["audio"] = found["audio"] or (sounds[0] if len(sounds) == 1 else None)
    rest = [name for name in plain if name not in found.values()]
    found["text"] = found["text"] or (rest[0] if len(rest) == 1 else None)
    chosen = {ours: theirs for ours, theirs in (found | dict(named)).items() if theirs}
    for ours in ("audio", "text"):
        if ours not in chosen:
            raise SourceError(
                f"{origin}: which column is the {ours}? Say --column {ours}=NAME: {', '.join(schema.names)}"
            )
    return chosen


def _is_sound(kind: pa.DataType) -> bool:
    parts = {field.name for field in kind} if pa.types.is_struct(kind) else set()
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or parts == {"bytes", "path"}


def _rows(table: pa.Table, columns: Mapping[str, str], first: int) -> list[Row]:
    labels = class_names(table.schema, table.column_names)
    values = {o: strings_of(table[t], labels.get(t)) for o, t in columns.items() if o != "audio"}
    ids = values.get("id") or [None] * table.num_rows
    rows = []
    for row in range(table.num_rows):
        said: dict[str, Any] = {ours: values[ours][row] for ours in OTHERS if ours in values and values[ours][row]}
        rows.append(Row(ids[row] or row_id(first + row), Path(), **{"text": "", **said}))
    return rows


def _shown(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    lines = [f"columns: {', '.join(f'{ours}={theirs}' for ours, theirs in columns.items())}"]
    for row in rows[:2]:
        lines.append(", ".join(f"{ours}={shown(str(getattr(row, ours)))[:40]!r}" for ours in OTHERS if ours in columns))
    return lines


def _language(card: Mapping) -> str:
    said = card.get("language")
    said = said[0] if isinstance(said, list) and len(said) == 1 else said
    return said if isinstance(said, str) and re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})?", said) else "en"


def _licence(card: Mapping) -> str | None:
    said = card.get("license")
    return said if isinstance(said, str) and said not in ("other", "unknown") else None
