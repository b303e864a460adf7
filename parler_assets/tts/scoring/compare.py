"""Any two checkpoints beside each other: paired differences of everything both were asked.

Two scorecards that are there already are compared by prompt. Two checkpoints speak the recipe's prompts with the same
seeds first, one in the place of the fine-tuned system, the other in that of its base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parler_assets import storage
from parler_assets.tts.scoring.card import paired
from parler_assets.tts.scoring.metrics import name_of, verdict
from parler_assets.tts.scoring.statistics import Score
from parler_assets.tts.scoring.table import sample_lines


class CompareError(ValueError):
    """Two things that cannot be compared; the message says what is missing."""


@dataclass(frozen=True)
class Comparison:
    """First minus second, over `prompts` that both spoke."""

    first: str
    second: str
    prompts: int
    differences: list[Score]

    @property
    def verdicts(self) -> dict[str, str]:
        """Metric to `better`, `worse` (whole interval on one side of zero) or `no difference seen`."""
        return {one.metric: verdict(one.metric, one.low, one.high) or "no difference seen" for one in self.differences}

    def markdown(self) -> str:
        """A table of differences with 95 % intervals."""
        lines = [f"{self.first} minus {self.second}, {self.prompts} prompts in common", ""]
        lines += ["| | difference | 95 % interval | n | first is |", "|---|---|---|---|---|"]
        for score in self.differences:
            cells = (
                name_of(score.metric),
                f"{score.value:+.3f}",
                f"[{score.low:+.3f}, {score.high:+.3f}]",
                f"{score.n}",
            )
            lines.append(f"| {' | '.join(cells)} | {self.verdicts[score.metric]} |")
        return "\n".join(lines) + "\n"


def compare_scorecards(first: Path, second: Path, system: str = "finetuned", other: str = "finetuned") -> Comparison:
    """Compare `system` of one scorecard's folder with `other` of a second one's, which may be the same folder.

    Raises:
        CompareError: a folder without samples.jsonl, or no prompt in common.
    """
    ours, theirs = _rows(first, system), _rows(second, other)
    shared = ours.keys() & theirs.keys()
    if not shared:
        raise CompareError(f"{first} and {second} have no prompt in common: were they made from the same recipe?")
    named = f"{system} of {first}", f"{other} of {second}"
    outcomes = paired(ours, theirs, f"{named[0]} - {named[1]}")
    return Comparison(*named, len(shared), [score for score in outcomes if isinstance(score, Score)])


def _rows(folder: Path, system: str) -> Mapping[str, dict]:
    try:
        return {row["prompt"]: row for row in sample_lines(folder) if row["system"] == system}
    except FileNotFoundError as error:
        raise CompareError(f"{error}: missing; materialize the scorecard there first") from None
    except storage.RecordError as error:
        raise CompareError(str(error)) from None
