"""Which clips are held out: by a stable hash, or by given ids; never the same words of one speaker on both sides.

The hash is of who says what, not of the clip's id, so that the eight readings of one sentence by one speaker stay on
one side. With a given list the readings that would leak are taken out of training.
"""

from __future__ import annotations

from pathlib import Path

from parler_assets.speech.shards import SetAside
from parler_assets.tts.data.lanes import STAGE, JoinedLane, Row, TrainingSetError, stable_share


def split_rows(lanes: list[JoinedLane]) -> tuple[list[Row], list[Row], list[SetAside]]:
    """(training rows, held-out rows, rows set aside because a held-out clip says the same), in the lanes' order.

    Raises:
        TrainingSetError: a list of held-out ids names a clip that its corpus does not have.
    """
    held_out = [row for joined in lanes for row in _held_out(joined)]
    kept_back = {(row.corpus, row.id) for row in held_out}
    spoken = {row.utterance for row in held_out}
    train, aside = [], []
    for row in (row for joined in lanes for row in joined.rows):
        if (row.corpus, row.id) in kept_back:
            continue
        if row.utterance in spoken:
            reason = "same words held out: a held-out clip has this speaker and text"
            aside.append(SetAside(f"{row.corpus}/{row.id}", STAGE, reason))
        else:
            train.append(row)
    return train, held_out, aside


def _held_out(joined: JoinedLane) -> list[Row]:
    lane = joined.lane
    if lane.held_out_ids:
        wanted = _listed(joined, lane.held_out_ids)
        return [row for row in joined.rows if row.id in wanted]
    if not lane.held_out or not joined.rows:
        return []
    shares = [stable_share(f"{lane.name}\0" + "\0".join(row.utterance)) for row in joined.rows]
    limit = max(lane.held_out, min(shares) + 1e-15)  # a small corpus still gives at least one clip
    return [row for row, share in zip(joined.rows, shares, strict=True) if share < limit]


def _listed(joined: JoinedLane, path: Path) -> set[str]:
    wanted = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    prefix = f"{joined.lane.name}/"
    known = {row.id for row in joined.rows} | {row.id.removeprefix(prefix) for row in joined.set_aside}
    unknown = sorted(wanted - known)
    if unknown:
        raise TrainingSetError(
            f"{path}: {len(unknown)} of {len(wanted)} held-out ids are not clips of corpus {joined.lane.name}, "
            f"the first is {unknown[0]!r}; correct the list or the corpus's id column"
        )
    return wanted


def limited(rows: list[Row], count: int | None, setting: str) -> tuple[list[Row], list[SetAside]]:
    """`count` of the rows, the same ones every time and in their order, and the others set aside by that setting."""
    if count is None or len(rows) <= count:
        return rows, []
    keys = [f"{row.corpus}/{row.id}" for row in rows]
    kept = set(sorted(keys, key=stable_share)[:count])
    aside = [SetAside(key, STAGE, f"not chosen: {setting} is {count}") for key in keys if key not in kept]
    return [row for row, key in zip(rows, keys, strict=True) if key in kept], aside
