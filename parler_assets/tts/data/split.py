"""Which clips are held out: by a stable hash, or by given ids; never the same words of one speaker on both sides.

The hash is of who says what, not of the clip's id, so that the eight readings of one sentence by one speaker stay on
one side. With a given list the readings that would leak are taken out of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from parler_assets.intake import Refusal
from parler_assets.intake.files import TABLE, read_text
from parler_assets.storage import SetAside
from parler_assets.tts.data.lanes import STAGE, JoinedLane, TrainingSetError, stable_share

Rows = np.ndarray  # (clips,) of lanes.ROW


def split_rows(lanes: Sequence[JoinedLane]) -> tuple[Rows, Rows, list[SetAside]]:
    """(training rows, held-out rows, rows set aside because a held-out clip says the same), in the lanes' order.

    Raises:
        TrainingSetError: a list of held-out ids names a clip that its corpus does not have.
    """
    rows = np.concatenate([joined.rows for joined in lanes])
    kept_back = np.concatenate([_held_out(joined) for joined in lanes])
    leaking = np.isin(rows["utterance"], np.unique(rows["utterance"][kept_back])) & ~kept_back
    reason = "same words held out: a held-out clip has this speaker and text"
    aside = [SetAside(lanes[row["lane"]].key(row["clip"]), STAGE, reason) for row in rows[leaking]]
    return rows[~kept_back & ~leaking], rows[kept_back], aside


def _held_out(joined: JoinedLane) -> np.ndarray:
    """Which rows of a lane are held out, (rows,) bool."""
    lane, share = joined.lane, joined.rows["share"]
    if lane.held_out_ids:
        return np.isin(joined.rows["clip"], _listed(joined, lane.held_out_ids))
    if not lane.held_out or not len(share):
        return np.zeros(len(share), bool)
    limit = max(lane.held_out, share.min() + 1e-15)  # a small corpus still gives at least one clip
    return share < limit


def _listed(joined: JoinedLane, path: Path) -> np.ndarray:
    """The raw rows of the ids that a file lists."""
    try:
        lines = read_text(path, TABLE).splitlines()
    except (OSError, Refusal) as error:
        raise TrainingSetError(f"held_out_ids cannot be read: {error}") from None
    wanted = sorted({line.strip() for line in lines if line.strip()})
    places = pc.index_in(pa.array(wanted, pa.string()), value_set=joined.ids).to_pylist()
    unknown = [name for name, place in zip(wanted, places, strict=True) if place is None]
    if unknown:
        raise TrainingSetError(
            f"{path}: {len(unknown)} of {len(wanted)} held-out ids are not clips of corpus {joined.lane.name}, "
            f"the first is {unknown[0]!r}; correct the list or the corpus's id column"
        )
    return np.array(places, np.int64)


def limited(lanes: Sequence[JoinedLane], rows: Rows, count: int | None, setting: str) -> tuple[Rows, list[SetAside]]:
    """`count` of the rows, the same ones every time and in their order, and the others set aside by that setting."""
    if count is None or len(rows) <= count:
        return rows, []
    keys = [lanes[row["lane"]].key(row["clip"]) for row in rows]
    chosen = np.zeros(len(rows), bool)
    chosen[sorted(range(len(rows)), key=lambda place: stable_share(keys[place]))[:count]] = True
    aside = [SetAside(keys[place], STAGE, f"not chosen: {setting} is {count}") for place in np.flatnonzero(~chosen)]
    return rows[chosen], aside
