"""What became of a fault: exit status, output and content against the undisturbed run, and what was computed twice."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from fault_place import Place, Ran

from tests.support.stored_files import remade

FINE, REMEDY, UNCLEAR, TRACEBACK, WRONG, LOST, HANG = VERDICTS = (
    "fine", "loud with remedy", "loud, unclear or remedy fails", "traceback", "silently wrong", "work lost", "hangs",
)  # fmt: skip
BAD = VERDICTS[2:]
# An error that nobody put into words: Python's own, or a library's.
RAW = re.compile(
    r"^\s*(?:[\w/]+: )?(?:\w+\.)*(KeyError|TypeError|AttributeError|IndexError|AssertionError|NameError|StopIteration|"
    r"UnicodeDecodeError|JSONDecodeError|ArrowInvalid|ArrowException|SafetensorError|OperationalError|DatabaseError|"
    r"MlflowException|CheckError)\b",
    re.MULTILINE,
)
DELETE = re.compile(r"(?:delete|remove) (/[^\s;,:]+|[\w.-]+ beside (?:it|/\S+))")
MOVE = re.compile(r"mv (/[^\s;:]+) (/[^\s;:]+)")


@dataclass(frozen=True)
class Case:
    """A fault.

    Attributes:
        group: its row of the table.
        do: puts it to the workspace in place, before the command.
        hit: names, relative to `Place.here`, of the files that it hits: making them again is no work lost.
        state: what the workspace is before: `finished`, `empty`, or one that was kept.
        command: what the user types then.
        around: holds while the command runs, such as a variable of the environment.
        kill: what is done to the command while it runs; an ordinary `run` follows then.
        mend: takes the cause away (makes room, say) before a remedy is followed.
        repeats: whether work may be done again (an interrupted run has none to lose but what it had finished).
    """

    group: str
    name: str
    do: Callable[[Place], None] = lambda place: None
    hit: Sequence[str] = ()
    state: str = "finished"
    command: Sequence[str] = ("run",)
    around: Callable[[Place], AbstractContextManager] = field(default=lambda place: nullcontext())
    kill: Callable[[int], None] | None = None
    mend: Callable[[Place], None] = lambda place: None
    repeats: bool = False


@dataclass(frozen=True)
class Verdict:
    case: Case
    kind: str
    why: str
    seconds: float


def judged(place: Place, case: Case, expected: dict[str, str]) -> Verdict:
    """Put a fault to a fresh copy of the workspace and see what becomes of it."""
    place.reset(case.state)
    case.do(place)
    before = place.stamps()
    with case.around(place):
        ran = place.run(*case.command, kill=case.kill)
        if case.kill:
            before = place.stamps()
            ran = place.run("run")
    kind, why = _kind(place, case, ran, expected, before)
    return Verdict(case, kind, why, ran.seconds)


def _kind(place: Place, case: Case, ran: Ran, expected: dict[str, str], before: dict) -> tuple[str, str]:
    if ran.code is None:
        return HANG, _tail(ran.output)
    if "Traceback (most recent call last)" in ran.output or RAW.search(ran.output):
        return TRACEBACK, _tail(ran.output)
    if ran.code:
        return _loud(place, case, ran, expected, before)
    if wrong := different(place, expected):
        return WRONG, wrong
    if lost := _lost(place, case, before):
        return LOST, lost
    return FINE, ""


def _lost(place: Place, case: Case, before: dict) -> str:
    again = [] if case.repeats else remade(before, place.stamps(), case.hit)
    return f"made again or gone: {', '.join(again[:4])}{' ...' if len(again) > 4 else ''}" if again else ""


def _loud(place: Place, case: Case, ran: Ran, expected: dict[str, str], before: dict) -> tuple[str, str]:
    """Follow what the message says: delete or move what it names, then run again."""
    case.mend(place)
    for source, target in MOVE.findall(ran.output):
        shutil.move(source, target)
    for named in DELETE.findall(ran.output):
        _delete(place, named, ran.output)
    with case.around(place) if case.mend is Case.mend else nullcontext():
        again = place.run("run")
    if again.code is None:
        return HANG, f"after the remedy: {_tail(again.output)}"
    wrong = different(place, expected)
    if again.code == 0 and not wrong and str(place.here) in ran.output:
        lost = _lost(place, case, before)
        return (LOST if lost else REMEDY), lost or _tail(ran.output)
    why = f"afterwards: {_tail(again.output)}" if again.code else wrong or "the message names no file"
    return UNCLEAR, f"{_tail(ran.output)} | {why}"


def _delete(place: Place, named: str, output: str) -> None:
    """What `delete X` means; `X beside it` lies beside the file that the message names."""
    found = re.search(r"(/[^\s;:]+):", output)
    path = Path(named) if named.startswith("/") else Path(found[1]).parent / named.split()[0] if found else None
    if path is None or not path.is_relative_to(place.here) or path == place.here:
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def different(place: Place, expected: dict[str, str]) -> str:
    """Which results are not those of the undisturbed run; empty when all are."""
    found = place.contents()
    odd = {name for name in expected if found.get(name) != expected[name]}
    odd |= {name for name in found.keys() - expected.keys() if "/step-" not in name}  # more training states: no harm
    return ", ".join(f"{name} ({found.get(name, 'missing')})" for name in sorted(odd)[:4])


def _tail(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("·", "✓", "- "))]
    return " / ".join(telling[-3:])[-400:]
