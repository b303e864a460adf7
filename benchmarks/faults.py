"""Bits that rot, files that are cut, processes that are killed: what an ordinary `run` makes of each.

    python benchmarks/faults.py                       # the whole table, about an hour of one core
    python benchmarks/faults.py flip training_set     # faults whose names have all these words
    python benchmarks/faults.py --list                # their names
    python benchmarks/faults.py --keep FOLDER --seed 7 --new   # keep the workspace; the same kills; only what is not in
                                                               # FOLDER/verdicts.jsonl yet

A fault is a `Case` (`fault_verdict.py`); a file that has `cases(place, seed)` is added to SOURCES below. Each is put to
a fresh copy of the finished workspace of the smallest recipe, an ordinary command follows, and its exit status, output
and results are compared with those of an undisturbed run. A message that names a remedy is followed: what it says to
delete or move is, and the command is given again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import fault_disks
import fault_files
from fault_place import Place, code_digest
from fault_verdict import BAD, VERDICTS, Case, Verdict, judged

SOURCES = [fault_files, fault_disks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose names have all of these words")
    parser.add_argument("--list", action="store_true", help="names, and nothing is run")
    parser.add_argument("--seed", type=int, default=0, help="of kills, pairs, and which shard of a kind is hit")
    parser.add_argument("--keep", type=Path, help="folder for the workspace, used again if it is there")
    parser.add_argument("--new", action="store_true", help="leave out what verdicts.jsonl in FOLDER has")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        root = (given.keep or Path(temporary)).resolve()
        place, expected = _opened(root)
        asked = [case for source in SOURCES for case in source.cases(place, given.seed)]
        asked = [case for case in asked if all(word in case.name for word in given.words)]
        if given.list:
            print("\n".join(f"{case.group}: {case.name}" for case in asked))
            return
        known = _known(root) if given.new else set()
        verdicts = [_one(place, case, expected, root) for case in asked if case.name not in known]
    print(table(verdicts))


def _opened(root: Path) -> tuple[Place, dict[str, str]]:
    place, known = Place(root), root / "expected.json"
    if not known.exists():
        known.write_text(json.dumps({"code": code_digest(), "files": place.prepare()}, indent=1))
    _refuse_other_code(root)
    place.reset()
    place.run("run")  # imports what a second run needs
    return place, json.loads(known.read_text())["files"]


def _refuse_other_code(root: Path) -> None:
    """What other code made and counted is no measure: it once called states of a training lost that nobody counted."""
    if json.loads((root / "expected.json").read_text()).get("code") != code_digest():
        sys.exit(f"{root} was made with other code than there is now: run a copy (git worktree), or use another folder")


def _one(place: Place, case: Case, expected: dict[str, str], root: Path) -> Verdict:
    verdict = judged(place, case, expected)
    _refuse_other_code(root)  # before the verdict counts
    print(f"{verdict.kind:<18} {verdict.seconds:5.1f} s  {case.name}" + (f"\n    {verdict.why}" * bool(verdict.why)))
    with (root / "verdicts.jsonl").open("a") as file:
        line = {"group": case.group, "name": case.name, "verdict": verdict.kind, "why": verdict.why}
        file.write(json.dumps(line) + "\n")
    return verdict


def _known(root: Path) -> set[str]:
    file = root / "verdicts.jsonl"
    return {json.loads(line)["name"] for line in file.read_text().splitlines()} if file.exists() else set()


def table(verdicts: list[Verdict]) -> str:
    """The table of groups by verdicts, and the list of what is right of "loud with remedy"."""
    lines = ["", f"| group | faults | {' | '.join(VERDICTS)} |", "|---|" + "---|" * (len(VERDICTS) + 1)]
    for group in dict.fromkeys(verdict.case.group for verdict in verdicts):
        counts = Counter(verdict.kind for verdict in verdicts if verdict.case.group == group)
        cells = [str(counts[kind] or "") for kind in VERDICTS]
        lines.append(f"| {group} | {counts.total()} | {' | '.join(cells)} |")
    bad = [verdict for verdict in verdicts if verdict.kind in BAD]
    return "\n".join([*lines, "", *(f"- {v.kind}: {v.case.name}: {v.why}" for v in bad)])


if __name__ == "__main__":
    main()
