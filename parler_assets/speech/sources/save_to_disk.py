"""Folders written by `datasets` with save_to_disk, one data set or several splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from parler_assets.hub.errors import SourceError
from parler_assets.intake.folders import Folders
from parler_assets.intake.json_documents import read_json
from parler_assets.recipe import FolderSource, digest
from parler_assets.speech.sources.source import RawClip
from parler_assets.speech.sources.tables import chosen_columns, clips_of, ids_of


def is_saved(folder: Path) -> bool:
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


class SavedCorpus:
    """All splits of a saved data set one after the other, memory-mapped."""

    commits: Mapping[str, str] = {}

    def __init__(self, source: FolderSource) -> None:
        self.source = source

    @property
    def fingerprint(self) -> str:
        files = sorted(path for path in self.source.path.rglob("*") if path.is_file())
        return digest(self.source, [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files])

    def ids(self) -> list[str]:
        names = [self._chosen["id"]] if "id" in self._chosen else [self._chosen["text"]]
        table = self._checked(self._data.select_columns(names).with_format("arrow")[:])
        return ids_of(table, self._chosen, 0)

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        table: pa.Table = self._data.select_columns(list(self._chosen.values())).with_format("arrow")[start:stop]
        yield from clips_of(self._checked(table), self._chosen, start, self.source.path)

    def _checked(self, table: pa.Table) -> pa.Table:
        """The rows, once no offset in the memory-mapped file leads out of it."""
        try:
            table.validate(full=True)
        except pa.ArrowInvalid as error:
            raise SourceError(f"{self.source.path}: damaged: {error}; save the data set again") from None
        return table

    @cached_property
    def _data(self):
        from datasets import Audio, DatasetDict, concatenate_datasets, load_from_disk

        try:
            _refuse_strays(self.source.path)
            loaded = load_from_disk(str(self.source.path))
        except Exception as error:  # whatever the library makes of files that it did not write
            raise SourceError(f"{self.source.path}: not readable as a saved data set: {error}") from None
        data = concatenate_datasets(list(loaded.values())) if isinstance(loaded, DatasetDict) else loaded
        sounds = [name for name, feature in data.features.items() if isinstance(feature, Audio)]
        for name in sounds:
            data = data.cast_column(name, Audio(decode=False))
        return data

    @cached_property
    def _chosen(self) -> dict[str, str]:
        return chosen_columns(self._data.column_names, self.source.columns, str(self.source.path))


def _refuse_strays(folder: Path) -> None:
    """The files that an index names are those of its own folder."""
    inside, parts = Folders(folder), [""]
    if (folder / "dataset_dict.json").is_file():
        parts = [f"{name}/" for name in read_json(inside.find(["dataset_dict.json"]))["splits"]]
    for part in parts:
        read_json(inside.find([f"{part}dataset_info.json"]))
        for file in read_json(inside.find([f"{part}state.json"]))["_data_files"]:
            inside.find([f"{part}{file['filename']}"])
