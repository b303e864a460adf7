"""The probes once more, learnt from held-out clips alone where the usual ones had to learn from training clips.

A fine-tuned model has heard the training clips, so that a probe which learnt from them may flatter it. Here the probe
learns from the held-out clips' copies that are samples anyway. Clips and copies are judged by probes that left them out
(ten folds), generated samples by the probe of all. These are few clips: the ceiling to compare with is `copy` on the
same row, not the other probe's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from parler_assets.tts.scoring.probe import Probe
from parler_assets.tts.scoring.statistics import Outcome, proportion

FOLDS = 10
SOURCE = "held-out clips"


def heard_by_held_out(rows: Sequence[dict], probes: Mapping[str, Probe]) -> list[dict]:
    """Rows with `<attribute>_heard_held_out`: None for probes that learnt from held-out clips in the first place."""
    judged = [{**row, **{f"{name}_heard_held_out": None for name in probes}} for row in rows]
    copies = [row for row in judged if row["system"] == "copy"]
    clips = sorted({row["prompt"] for row in copies})
    order = np.random.default_rng(0).permutation(len(clips)) % FOLDS
    folds = dict(zip(clips, order.tolist(), strict=True))
    for name, usual in probes.items():
        if usual.source == SOURCE or not copies:
            continue
        _hear(name, [row for row in judged if row["kind"] != "clip"], copies)
        for fold in range(FOLDS):
            left_out = [row for row in judged if row["kind"] == "clip" and folds.get(row["prompt"]) == fold]
            _hear(name, left_out, [row for row in copies if folds[row["prompt"]] != fold])
    return judged


def _hear(name: str, rows: Sequence[dict], learnt_from: Sequence[dict]) -> None:
    if not rows or not learnt_from:
        return
    probe = Probe(name, np.array([row["features"] for row in learnt_from]), [row[name] for row in learnt_from])
    for row, heard in zip(rows, probe.predict(np.array([row["features"] for row in rows])), strict=True):
        row[f"{name}_heard_held_out"] = heard


def held_out_score(system: str, name: str, rows: Sequence[Mapping]) -> list[Outcome]:
    """Share of samples in which the probe of held-out clips hears what was asked for; nothing without such a probe."""
    pairs = [(row[name], row[f"{name}_heard_held_out"]) for row in rows if row.get(f"{name}_heard_held_out")]
    note = "learnt from held-out clips alone, clips and copies by cross-validation"
    return [proportion(f"{name}_held_out", system, [a == h for a, h in pairs], note)] if pairs else []
