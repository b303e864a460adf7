"""What makes a training set unfit. Training calls this itself and refuses: a check in the graph can be skipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from parler_assets import storage
from parler_assets.tts.data.codes_file import HELD_OUT, TRAIN, Split, open_split
from parler_assets.tts.data.lanes import utterance, utterance_number

CHOSEN = ("training.", "same words held out")  # kinds of reason that a recipe asks for
LOOKED_AT = ["id", "corpus", "speaker", "text", "description", "duration", "offset", "frames"]


@dataclass(frozen=True)
class Problem:
    """One reason not to train on a set. `kind` is a stable name, `message` says what, where and what to do."""

    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def audit_training_set(folder: Path) -> list[Problem]:
    """Every problem of a finished training set; an empty list means it can be trained on.

    Raises:
        ShardError: the set is unfinished or a file is unreadable.
    """
    facts = storage.read_manifest(folder).facts
    train, held_out = (open_split(folder, name, LOOKED_AT) for name in (TRAIN, HELD_OUT))
    problems = [*_corpora(facts["mixture"]), *_size(train, held_out, facts)]
    for split, name in ((train, TRAIN), (held_out, HELD_OUT)):
        problems += _codes(split, name, facts["codebook_size"])
        problems += _descriptions(split, name)
    return problems + _leakage(train, held_out)


def many_set_aside(folder: Path, limit: float) -> list[str]:
    """Corpora that lost more than this share of their clips, apart from those that a recipe asks to leave out."""
    problems = []
    for record in storage.read_manifest(folder).facts["mixture"]:
        counted = {why: count for why, count in record["set_aside"].items() if not why.startswith(CHOSEN)}
        lost = sum(counted.values())
        if record["clips"] and lost > 1 and lost / record["clips"] > limit:
            reasons = ", ".join(f"{why} ({count})" for why, count in sorted(counted.items(), key=lambda pair: -pair[1]))
            problems.append(
                f"corpus {record['corpus']}: {lost} of {record['clips']} clips are left out ({reasons}); each "
                "reason is among the rows set aside: repair the source, or widen the limits of `training`"
            )
    return problems


def _corpora(mixture: list[dict]) -> list[Problem]:
    found = []
    for record in mixture:
        if record["clips"] and not record["described"]:
            message = (
                f"corpus {record['corpus']}: none of its {record['clips']} clips has a description; "
                "the ids of clips and descriptions do not match: check id columns, split and config of both"
            )
            found.append(Problem("no_descriptions", message))
        if record["clips"] and not record["coded"]:
            message = f"corpus {record['corpus']}: none of its clips has codes; materialize dac_codes again"
            found.append(Problem("no_codes", message))
    return found


def _size(train: Split, held_out: Split, facts: dict) -> list[Problem]:
    reasons = "; ".join(
        f"{record['corpus']}: {count} {reason}"
        for record in facts["mixture"]
        for reason, count in record["set_aside"].items()
    )
    if not len(train):
        return [Problem("empty", f"no clip is left to train on ({reasons or 'the corpora have no clips'})")]
    hours = float(np.sum(train.table["duration"].to_numpy())) / 3600
    if hours < facts["min_hours"]:
        message = (
            f"{hours:.2f} h to train on, training.min_hours is {facts['min_hours']:g} (set aside: {reasons or 'none'})"
        )
        return [Problem("too_few_hours", message)]
    if not len(held_out):
        return [Problem("no_held_out", "no clip is held out, so no loss could be trusted; set held_out of a corpus")]
    return []


def _codes(split: Split, name: str, codebook_size: int) -> list[Problem]:
    if not len(split):
        return []
    if damage := split.damage():
        return [Problem("corrupt_codes", damage)]
    if len(split.codes) < int((split.offsets + split.frames).max()):
        message = (
            f"{split.folder / split.codes_file}: too short for its table; materialize the training set with --rebuild"
        )
        return [Problem("corrupt_codes", message)]
    highest = int(split.codes.max())
    if highest < codebook_size:
        return []
    frame = int(np.argmax(split.codes.max(axis=1) >= codebook_size))
    row = int(np.searchsorted(split.offsets, frame, side="right")) - 1
    message = (
        f"{name}: clip {_called(split, row)} has code {highest}, codebooks have {codebook_size} entries; encode again"
    )
    return [Problem("codes_out_of_range", message)]


def _descriptions(split: Split, name: str) -> list[Problem]:
    text = split.table["description"]
    empty = np.flatnonzero(pc.equal(pc.fill_null(text, ""), "").to_numpy())
    if not len(empty):
        return []
    message = f"{name}: {len(empty)} clips have no description, the first is {_called(split, empty[0])}"
    return [Problem("missing_descriptions", message)]


def _called(split: Split, row: int) -> str:
    return f"{split.table['corpus'][row]}/{split.table['id'][row]}"


def _utterances(split: Split) -> np.ndarray:
    """Who says what in every clip, as a number, (clips,)."""
    columns = split.table.select(["corpus", "speaker", "text"])
    numbers = [
        np.array([utterance_number(utterance(*row.values())) for row in batch.to_pylist()], np.int64)
        for batch in columns.to_batches(max_chunksize=4096)
    ]
    return np.concatenate([np.empty(0, np.int64), *numbers])


def _leakage(train: Split, held_out: Split) -> list[Problem]:
    trained, kept = _utterances(train), _utterances(held_out)
    shared = np.intersect1d(trained, kept)
    if not len(shared):
        return []
    one = int(np.flatnonzero(np.isin(kept, shared))[0])
    other = int(np.flatnonzero(trained == kept[one])[0])
    who = held_out.table["speaker"][one].as_py() or "an unnamed speaker"
    message = (
        f"{len(shared)} utterances are in training and held out, the first is {held_out.table['text'][one].as_py()!r} "
        f"by {who} ({_called(train, other)}, {_called(held_out, one)}); correct the list of held-out ids"
    )
    return [Problem("leakage", message)]
