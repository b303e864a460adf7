"""What a task says about itself, as one line of JSON, and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

HIDDEN = "seconds_left"  # shown as a time, last


@dataclass(frozen=True)
class Message:
    """How far a task is.

    Attributes:
        task: tells tasks of all processes apart.
        details: numbers to show; `seconds_left` is what the task itself expects.
    """

    task: str
    name: str
    done: int
    total: int
    unit: str
    details: Mapping[str, float] = field(default_factory=dict)
    ended: bool = False

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, line: str) -> Message | None:
        """A message; None for a line that is none, such as one that a kill cut short."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):  # no JSON, no mapping, or not these fields
            return None

    def numbers(self) -> list[str]:
        """The details in words: `loss 3.2`."""
        return [f"{name} {value:.4g}" for name, value in self.details.items() if name != HIDDEN]


def duration(seconds: float) -> str:
    """`8.4 s`, `3 min 18 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
