"""The stage `llm_descriptions`: every distinct attribute tuple is written once, every clip picks one of its wordings.

Two passes over the bins. The first collects the tuples, the second lets each clip choose among the k wordings of its
tuple by a hash of its id: a clip that is added changes no other clip's description.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets import storage
from parler_assets.hub.revisions import COMMITS
from parler_assets.recipe import Describing, digest
from parler_assets.recipe.spellings import style_of
from parler_assets.speech.descriptions.attributes import Unusable, attributes_of, columns_of
from parler_assets.speech.descriptions.errors import DescriptionError
from parler_assets.speech.descriptions.situations import Attributes, Kind
from parler_assets.speech.descriptions.writer import Wording, Written, write
from parler_assets.storage import Part, SetAside, Shard, StageResult

VERSION = "1"
ROW_BYTES = 300  # of a row of this stage, packed
STAGE = "llm_descriptions"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("description", pa.string()),
        ("caption", pa.string()),
        ("engine", pa.string()),
        ("attempts", pa.int32()),
        ("rejected", pa.string()),
    ]
)
Row = tuple[str | None, ...]  # the values of the columns that a prompt speaks of


def describe_corpus(
    bins: Path, folder: Path, settings: Describing, cache: Path, rebuild: bool = False, device: str = "cpu"
) -> StageResult:
    """One description a clip of `bins`: id, description, caption kind, engine that wrote it, attempts, rejected.

    With two caption kinds, `description` is one of them by a hash of the id, and the columns `named` and `situational`
    hold both. A clip without a needed label, or with one that no sentence can hold, is set aside with its reason.
    `manifest.facts` counts tuples, generations and rejections, with examples of what was rejected.

    Args:
        bins: a finished stage of text bins.
        cache: folder shared by all recipes; every answer of a language model is kept in it.
        rebuild: ask the language model again, whatever is kept.
        device: where the engines `transformers` and `vllm` compute.

    Raises:
        DescriptionError: no clip can be described, or the engine cannot be used; what it wrote so far is kept.
    """
    from parler_assets.speech.descriptions.engines import pinned

    manifest, given = storage.read_manifest(bins), settings
    settings = pinned(settings, cache)
    fingerprint = digest(given, asked_of(settings, cache), manifest.digest, VERSION)
    plan = _Plan(bins, settings, cache, rebuild, device)
    return storage.build(
        folder, fingerprint, len(manifest.shards), plan.make, facts=lambda: plan.facts, rebuild=rebuild,
        room=lambda: ROW_BYTES * manifest.rows,
    )  # fmt: skip


def asked_of(settings: Describing, cache: Path) -> list[str]:
    """What a model is asked and which: an edited template file or another model's files make new descriptions."""
    if settings.engine == "template":
        return []
    from parler_assets.speech.descriptions.engines import model_identity
    from parler_assets.speech.descriptions.prompts import Prompt

    return [Prompt(settings.prompt).text, model_identity(settings, cache)]


def pick(name: str, count: int, what: str = "") -> int:
    """Which of `count` things the clip `name` takes: the same whatever other clips there are."""
    return int.from_bytes(hashlib.sha256(f"{what}{name}".encode()).digest()[:8]) % count


@dataclass
class _Plan:
    bins: Path
    settings: Describing
    cache: Path
    rebuild: bool
    device: str
    _written: Written | None = None
    _tuples: dict[Row, dict[Kind, Attributes] | str] = field(default_factory=dict)

    @property
    def written(self) -> Written:
        """All wordings of this corpus; written when they are first asked for."""
        if self._written is None:
            self._collect()
            pairs = [pair for kinds in self._usable() for pair in kinds.items()]
            names = sorted(self._values("speaker"))
            self._written = write(pairs, self.settings, self.cache, names, self.rebuild, self.device)
        return self._written

    @property
    def facts(self) -> dict:
        from parler_assets.speech.descriptions.engines import commits

        written, first = self.written, self.settings.captions[0]
        tuples = len({tuple(kinds[first].items()) for kinds in self._usable()})
        return {COMMITS: commits(self.settings), "tuples": tuples, **written.facts}

    def _usable(self) -> list[dict[Kind, Attributes]]:
        return [kinds for kinds in self._tuples.values() if not isinstance(kinds, str)]

    def _values(self, column: str) -> set[str]:
        place = self.columns.index(column) if column in self.columns else None
        return {str(row[place]) for row in self._tuples if row[place] is not None} if place is not None else set()

    @cached_property
    def columns(self) -> list[str]:
        return columns_of(self.settings.prompt)

    def make(self, index: int) -> Part:
        written = self.written
        table = self._read(storage.read_manifest(self.bins).shards[index], ["id"])
        rows, aside = [], []
        for name, row in zip(table["id"].to_pylist(), self._rows(table), strict=True):
            kinds = self._tuples[row]
            if isinstance(kinds, str):
                aside.append(SetAside(name, STAGE, kinds))
            else:
                rows.append(self._row(name, {kind: written.of(kind, kinds[kind]) for kind in kinds}))
        return Part(pa.Table.from_pylist(rows, schema=self._schema), aside)

    def _read(self, shard: Shard, more: Sequence[str] = ()) -> pa.Table:
        names = pq.read_schema(self.bins / shard.file).names
        return storage.read_shard(self.bins, shard, [*more, *(name for name in self.columns if name in names)])

    def _rows(self, table: pa.Table) -> Iterator[Row]:
        """The label columns row by row, None for a column that is not there."""
        columns = self.columns
        yield from zip(
            *(table[name].to_pylist() if name in table.column_names else [None] * len(table) for name in columns),
            strict=True,
        )

    @property
    def _schema(self) -> pa.Schema:
        kinds = self.settings.captions
        return pa.schema([*SCHEMA, *((kind, pa.string()) for kind in kinds)]) if len(kinds) > 1 else SCHEMA

    def _row(self, name: str, wordings: Mapping[Kind, Sequence[Wording]]) -> dict:
        kinds = self.settings.captions
        chosen = {kind: found[pick(name, len(found))] for kind, found in wordings.items()}
        kind = kinds[pick(name, len(kinds), "caption ")]
        wording = chosen[kind]
        both = {kind: found.text for kind, found in chosen.items()} if len(kinds) > 1 else {}
        made = {"engine": wording.engine, "attempts": wording.attempts, "rejected": wording.rejected}
        return {"id": name, "description": wording.text, "caption": kind, **made, **both}

    def _collect(self) -> None:
        """The distinct rows of labels, each with its attributes or the reason why it has none."""
        distinct: dict[Row, None] = {}
        for shard in storage.read_manifest(self.bins).shards:
            distinct.update(dict.fromkeys(self._rows(self._read(shard))))
        self._tuples = dict.fromkeys(distinct, "")
        self._tuples = {row: self._attributes(row) for row in sorted(distinct, key=str)}
        reasons = Counter(found for found in self._tuples.values() if isinstance(found, str))
        if distinct and len(reasons) and reasons.total() == len(self._tuples):
            raise DescriptionError(f"{self.bins}: no clip can be described: {reasons.most_common(1)[0][0]}")

    def _attributes(self, row: Row) -> dict[Kind, Attributes] | str:
        given = dict(zip(self.columns, row, strict=True))
        if "style" in given:
            given["style"] = style_of(given["style"])
        try:
            return {kind: attributes_of(given, self.settings.prompt, kind) for kind in self.settings.captions}
        except Unusable as error:
            return str(error)
