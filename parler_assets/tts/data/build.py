"""From lanes to a training set: joined by id, filtered, split, tokenised, codes concatenated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.hub.revisions import COMMITS
from parler_assets.recipe import TRAINING_SET_FIELDS, Training, digest
from parler_assets.storage import Part, SetAside, StageResult, Streamed
from parler_assets.tts.base import checkpoint_digest, codebook_shape, validate_base
from parler_assets.tts.data.codes_file import SCHEMA, SPLITS, naming, sweep_codes, write_codes
from parler_assets.tts.data.coverage import Letters
from parler_assets.tts.data.join import TooLong, flattened, join_lane
from parler_assets.tts.data.lanes import Lane, TrainingSetError
from parler_assets.tts.data.mixture import licences, mixture_report
from parler_assets.tts.data.rows import Stored
from parler_assets.tts.data.split import limited, split_rows

VERSION = "1"
# Rows that are in memory at a time, and a row group of the table.
BLOCK = 4096
ROW_BYTES = 500  # of a row without its codes, packed: texts and their tokens


def build_training_set(
    lanes: Sequence[Lane], base: Path, folder: Path, settings: Training, rebuild: bool = False
) -> StageResult:
    """Join, filter and split the lanes' clips, and write them as `store` describes.

    The result may be unusable (empty, say): `audit_training_set` tells, and training refuses it.

    Raises:
        TrainingSetError: ids that are not unique, codes made with another codec, unknown held-out ids.
        ShardError: a lane's stage is unfinished or unreadable.
    """
    doubled = [name for name, count in Counter(lane.name for lane in lanes).items() if count > 1]
    if doubled:
        raise TrainingSetError(f"corpus {doubled[0]} is listed twice")
    obeyed = {key: getattr(settings, key) for key in TRAINING_SET_FIELDS}
    base_digest = checkpoint_digest(base)
    fingerprint = digest([lane.fingerprint for lane in lanes], obeyed, base_digest, VERSION)
    plan = cache(lambda: _Plan(lanes, base, settings))

    def make(index: int) -> Part:
        writing = _Writing(lanes, plan().rows[index], plan().codebooks, base)
        file = write_codes(folder, SPLITS[index], writing.codes(), plan().codebooks)
        table = Streamed(naming(SCHEMA, file), writing.tables())
        return Part(table, plan().set_aside if index == 0 else (), beside=(file,))

    def facts() -> dict:
        commits = {lane.name: lane.commits for lane in lanes if lane.commits}
        return {**plan().facts, "base": base_digest, "min_hours": settings.min_hours, COMMITS: commits}

    result = storage.build(folder, fingerprint, 2, make, facts=facts, rebuild=rebuild, room=lambda: plan().bytes)
    if not result.reused:
        sweep_codes(folder)
    return result


class _Plan:
    """Which rows go where: everything decided before anything is written."""

    def __init__(self, lanes: Sequence[Lane], base: Path, settings: Training) -> None:
        self.codebooks, self.codebook_size = codebook_shape(base)
        decoder = validate_base(base)["decoder"]
        shape = (self.codebooks, self.codebook_size, _token_limits(base, settings))
        joined = [join_lane(lane, number, settings, *shape) for number, lane in enumerate(lanes)]
        train, held_out, leaked = split_rows(joined)
        train, left_over = limited(joined, train, settings.max_train_clips, "training.max_train_clips")
        held_out, not_heard = limited(joined, held_out, settings.max_held_out_clips, "training.max_held_out_clips")
        later = [*leaked, *left_over, *not_heard]
        self.rows = (train, held_out)
        self.set_aside: list[SetAside] = [row for lane in joined for row in lane.set_aside] + later
        mixture = mixture_report(joined, train, held_out, later)
        frames = sum(int(rows["frames"].sum(dtype=np.int64)) for rows in self.rows)
        self.bytes = 2 * self.codebooks * frames + ROW_BYTES * sum(map(len, self.rows))
        self.facts = {
            "codebooks": self.codebooks,
            "codebook_size": self.codebook_size,
            "max_positions": None if decoder.get("rope_embeddings") else decoder.get("max_position_embeddings"),
            "mixture": mixture,
            "licences": licences(mixture),
        }


def _token_limits(base: Path, settings: Training) -> TooLong:
    """Why clips have too many tokens, or none for a letter. Texts are tokenised here only where there is a limit."""
    limits = {"prompt": settings.max_prompt_tokens, "description": settings.max_description_tokens}
    tokenizers = cache(lambda: _tokenizers(base))
    letters = Letters(lambda: tokenizers().prompt)

    def too_long(prompts: list[str], descriptions: list[str]) -> list[str | None]:
        reasons: list[str | None] = list(map(letters.problem, prompts))
        for (what, limit), texts in zip(limits.items(), (prompts, descriptions), strict=True):
            if limit is None or not texts:
                continue
            for place, ids in enumerate(_distinct(getattr(tokenizers(), what), texts)):
                if len(ids) > limit and reasons[place] is None:
                    reasons[place] = f"{what} tokens: {len(ids)}, limit {limit}"
        return reasons

    return too_long


class _Writing:
    """The rows of one split, read again from their stages block by block.

    Codes are read for the file of codes, everything else for the table: no stage's column is read twice.
    """

    def __init__(self, lanes: Sequence[Lane], rows: np.ndarray, codebooks: int, base: Path) -> None:
        self.lanes, self.rows, self.codebooks, self.base = lanes, rows, codebooks, base

    def _blocks(self) -> Iterator[tuple[Lane, int, int]]:
        """Corpus, first and last row of every block: rows of one corpus lie together."""
        start = 0
        for number, group in groupby(self.rows["lane"].tolist()):
            stop = start + sum(1 for _ in group)
            for first in range(start, stop, BLOCK):
                yield self.lanes[number], first, min(first + BLOCK, stop)
            start = stop

    def codes(self) -> Iterator[np.ndarray]:
        """Codes of one clip after the other, each (T, K) uint16."""
        stores = {lane.name: Stored(lane.codes, ["codes"]) for lane in self.lanes}
        for lane, start, stop in self._blocks():
            values, offsets = flattened(stores[lane.name].take(self.rows["codes"][start:stop])["codes"])
            for first, end in pairwise(offsets):
                yield values[first:end].reshape(self.codebooks, -1).T

    def tables(self) -> Iterator[pa.Table]:
        """The rows as `codes_file.SCHEMA` has them, a block at a time."""
        clips = {lane.name: Stored(lane.raw, ["id", "speaker", "style", "text"]) for lane in self.lanes}
        described = {lane.name: Stored(lane.descriptions, ["description"]) for lane in self.lanes}
        frames = self.rows["frames"].astype(np.int64)
        offsets = np.cumsum(frames) - frames
        tokenizers = cache(lambda: _tokenizers(self.base))
        for lane, start, stop in self._blocks():
            rows = self.rows[start:stop]
            table = clips[lane.name].take(rows["clip"])
            texts, said = (
                [text.strip() for text in column.to_pylist()]
                for column in (table["text"], described[lane.name].take(rows["description"])["description"])
            )
            columns = {
                "id": table["id"],
                "corpus": [lane.name] * len(rows),
                "speaker": table["speaker"],
                "style": table["style"],
                "text": texts,
                "description": said,
                "duration": rows["duration"],
                "weight": np.full(len(rows), lane.weight, np.float32),
                "prompt_ids": _distinct(tokenizers().prompt, texts),
                "description_ids": _distinct(tokenizers().description, said),
                "offset": offsets[start:stop],
                "frames": rows["frames"],
            }
            yield pa.table(columns, schema=SCHEMA)


def _tokenizers(base: Path):
    from parler_assets.tts.model.tokenizers import load_tokenizers

    return load_tokenizers(base)


def _distinct(tokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids of texts, end-of-sequence appended; every distinct string once."""
    once = list(dict.fromkeys(texts))
    ids = dict(zip(once, tokenizer(once, add_special_tokens=True)["input_ids"], strict=True))
    return [ids[text] for text in texts]
