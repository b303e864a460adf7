"""From lanes to a training set: joined by id, filtered, split, tokenised, codes concatenated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets.recipe import Training, digest
from parler_assets.speech import shards
from parler_assets.speech.shards import Part, SetAside, StageResult
from parler_assets.tts.base import checkpoint_digest, codebook_shape, validate_base
from parler_assets.tts.data.lanes import STAGE, JoinedLane, Lane, Row, TrainingSetError, join_lane
from parler_assets.tts.data.mixture import licences, mixture_report
from parler_assets.tts.data.split import limited, split_rows
from parler_assets.tts.data.store import SCHEMA, SPLITS, sweep_codes, with_codes_file, write_codes

VERSION = "1"
# The settings a training set obeys; a change of learning rate leaves it as it is.
OBEYED = (
    "min_seconds",
    "max_seconds",
    "max_text_length",
    "max_description_length",
    "max_prompt_tokens",
    "max_description_tokens",
    "max_train_clips",
    "max_held_out_clips",
    "min_hours",
)


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
    obeyed = {key: getattr(settings, key) for key in OBEYED}
    base_digest = checkpoint_digest(base)
    fingerprint = digest([lane.fingerprint for lane in lanes], obeyed, base_digest, VERSION)
    plan = cache(lambda: _Plan(lanes, base, settings))

    def make(index: int) -> Part:
        split = SPLITS[index]
        table = _table(plan().rows[index], base, folder, split, plan().codebooks, plan().weights)
        return Part(table, plan().set_aside if index == 0 else ())

    def facts() -> dict:
        return {**plan().facts, "base": base_digest, "min_hours": settings.min_hours}

    result = shards.build(folder, fingerprint, 2, make, label="training_set", facts=facts, rebuild=rebuild)
    if not result.reused:
        sweep_codes(folder)
    return result


class _Plan:
    """Which rows go where: everything decided before anything is written."""

    def __init__(self, lanes: Sequence[Lane], base: Path, settings: Training) -> None:
        self.codebooks, self.codebook_size = codebook_shape(base)
        decoder = validate_base(base)["decoder"]
        joined = [join_lane(lane, settings, self.codebooks, self.codebook_size) for lane in lanes]
        for lane in joined:
            _limit_tokens(lane, base, settings)
        train, held_out, leaked = split_rows(joined)
        train, left_over = limited(train, settings.max_train_clips, "training.max_train_clips")
        held_out, not_heard = limited(held_out, settings.max_held_out_clips, "training.max_held_out_clips")
        later = [*leaked, *left_over, *not_heard]
        self.rows = (train, held_out)
        self.set_aside: list[SetAside] = [row for lane in joined for row in lane.set_aside] + later
        self.weights = {lane.name: lane.weight for lane in lanes}
        mixture = mixture_report(joined, train, held_out, later)
        self.facts = {
            "codebooks": self.codebooks,
            "codebook_size": self.codebook_size,
            "max_positions": None if decoder.get("rope_embeddings") else decoder.get("max_position_embeddings"),
            "mixture": mixture,
            "licences": licences(mixture),
        }


def _limit_tokens(joined: JoinedLane, base: Path, settings: Training) -> None:
    """Set rows of too many tokens aside, in place. Texts are tokenised here only where there is a limit."""
    limits = {"prompt": settings.max_prompt_tokens, "description": settings.max_description_tokens}
    for (what, limit), texts in zip(limits.items(), (_texts, _descriptions), strict=True):
        if limit is None or not joined.rows:
            continue
        tokens = _distinct(getattr(_tokenizers(base), what), texts(joined.rows))
        counts = [len(ids) for ids in tokens]
        joined.set_aside += [
            SetAside(f"{row.corpus}/{row.id}", STAGE, f"{what} tokens: {count}, limit {limit}")
            for row, count in zip(joined.rows, counts, strict=True)
            if count > limit
        ]
        joined.rows = [row for row, count in zip(joined.rows, counts, strict=True) if count <= limit]


def _texts(rows: list[Row]) -> list[str]:
    return [row.text for row in rows]


def _descriptions(rows: list[Row]) -> list[str]:
    return [row.description for row in rows]


def _table(
    rows: list[Row], base: Path, folder: Path, split: str, codebooks: int, weights: dict[str, float]
) -> pa.Table:
    file = write_codes(folder, split, [row.codes for row in rows], codebooks)
    frames = np.array([len(row.codes) for row in rows], np.int64)
    prompts, descriptions = _tokenise(rows, base)
    columns = {
        name: [getattr(row, name) for row in rows]
        for name in ("id", "corpus", "speaker", "style", "text", "description", "duration")
    }
    table = pa.table(
        {
            **columns,
            "weight": [weights[row.corpus] for row in rows],
            "prompt_ids": prompts,
            "description_ids": descriptions,
            "offset": np.cumsum(frames) - frames,
            "frames": frames.astype(np.int32),
        },
        schema=SCHEMA,
    )
    return with_codes_file(table, file)


def _tokenise(rows: list[Row], base: Path) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of transcripts and descriptions, end-of-sequence appended; every distinct string once."""
    if not rows:
        return [], []
    tokenizers = _tokenizers(base)
    return (
        _distinct(tokenizers.prompt, _texts(rows)),
        _distinct(tokenizers.description, _descriptions(rows)),
    )


def _tokenizers(base: Path):
    from parler_assets.tts.model.tokenizers import load_tokenizers

    return load_tokenizers(base)


def _distinct(tokenizer, texts: list[str]) -> list[list[int]]:
    once = list(dict.fromkeys(texts))
    ids = dict(zip(once, tokenizer(once, add_special_tokens=True)["input_ids"], strict=True))
    return [ids[text] for text in texts]
