"""`metrics.jsonl`: one JSON object a line, written while training runs, cut back when it resumes.

Every training state has a copy of the log as it was then, under the state's digests: a log that was damaged or lost is
continued from that.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from parler_assets.storage import replacing

FILE = "metrics.jsonl"


def append(path: Path, line: dict) -> None:
    """Add one line; it is in the file, whole, when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()


def read_lines(path: Path) -> list[dict]:
    """All whole lines. A last line that a kill cut short is left out."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line for entry in text.splitlines() if (line := _parsed(entry)) is not None]


def _parsed(text: str) -> dict | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def resume(path: Path, state: Path | None, step: int) -> None:
    """Forget what was measured after `step`, where training resumes from `state`: it is measured again.

    States of before they had the log leave its lines of until then.
    """
    if state and (state / FILE).is_file():
        with replacing(path) as temporary:
            shutil.copyfile(state / FILE, temporary)
        return
    lines = read_lines(path)
    kept = [line for line in lines if line.get("step", 0) <= step] if state else []
    if path.is_file():
        with replacing(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def held_out_losses(path: Path) -> list[tuple[int, float]]:
    """(step, held-out loss) of every evaluation so far."""
    return [(line["step"], line["eval_loss"]) for line in read_lines(path) if "eval_loss" in line]
