"""`metrics.jsonl`: one JSON object a line, written while training runs, cut back when it resumes."""

from __future__ import annotations

import json
from pathlib import Path

from parler_assets.storage import replacing


def append(path: Path, line: dict) -> None:
    """Add one line; it is in the file, whole, when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()


def read_lines(path: Path) -> list[dict]:
    """All whole lines. A last line that a kill cut short is left out."""
    if not path.is_file():
        return []
    return [line for text in path.read_text(encoding="utf-8").splitlines() if (line := _parsed(text)) is not None]


def _parsed(text: str) -> dict | None:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def cut_back(path: Path, step: int) -> None:
    """Forget what was measured after `step`: training resumes there and will measure it again."""
    lines = read_lines(path)
    kept = [line for line in lines if line.get("step", 0) <= step] if step else []
    if path.is_file():
        with replacing(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def held_out_losses(path: Path) -> list[tuple[int, float]]:
    """(step, held-out loss) of every evaluation so far."""
    return [(line["step"], line["eval_loss"]) for line in read_lines(path) if "eval_loss" in line]
