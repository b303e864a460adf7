"""Every file that a workspace stores, found by walking it: its kind, damage to it, and what of it is content."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

# What differs between two undisturbed runs: measured times, and digests of files that hold such times.
TIMES = {"seconds", "seconds_to_generate", "time", "cost", "seconds_left", "frames_per_second", "mfu"}
NAMED = {
    "seal",
    "sha256",
    "fingerprint",
    "digest",
    "log",
    "files",
    "file",
    "beside",
    "key",
    "mlflow_run",
    "facts",
    "measured_as",
}
# Locks and logs; states of trainings, which are read only where a training goes on; what Dagster and MLflow keep is
# compared by whoever knows their tables.
NO_CONTENT = re.compile(
    r"(^|/)(\.[^/]*|damaged-[^/]*|[^/]*\.log|[^/]*\.lock|mlflow\.db[^/]*|failure\.txt)$"
    r"|(^|/)(mlflow_artifacts|damaged-[^/]*|checkpoints|best)/"
)
_CHANGING = re.compile(r"[0-9a-f]{8,}(-[0-9a-f]{4,}){0,4}|\d{3,}|(?<=compute_logs/)\w+")


def kind_of(name: str) -> str:
    """A file's name without numbers and digests: shards of one stage are of one kind."""
    return _CHANGING.sub("*", name)


def walk(root: Path) -> list[str]:
    """All regular files, as names relative to `root`."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def kinds(root: Path) -> dict[str, list[str]]:
    """Kind to the files of it that hold something."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in walk(root):
        if (root / name).stat().st_size:
            found[kind_of(name)].append(name)
    return dict(found)


def flip(path: Path, at: float = 0.5) -> None:
    """Turn one bit round, at a place between 0 (the file's first) and 1 (its last)."""
    content = bytearray(path.read_bytes())
    bit = int(at * (8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def cut(path: Path, at: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * at)])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flip": flip,
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "delete": Path.unlink,
}


def contents(root: Path) -> dict[str, str]:
    """Name, without digests, to a digest of what a file says apart from measured times; locks and logs are left out.

    A file that cannot be read in its format has the content `unreadable`.
    """
    return {
        re.sub(r"[0-9a-f]{8,}", lambda found: found[0] if found[0].isdigit() else "*", name): _content(root / name)
        for name in walk(root)
        if not NO_CONTENT.search(name)
    }


def _content(path: Path) -> str:
    read = READERS.get(path.suffix, lambda path: path.read_bytes())
    try:
        said = read(path)
    except Exception:  # every library has its own
        return "unreadable"
    return hashlib.sha256(said if isinstance(said, bytes) else repr(said).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in sorted(value.items()) if key not in TIMES | NAMED}
    return [_plain(inner) for inner in value if not _timed(inner)] if isinstance(value, list) else value


def _timed(value: Any) -> bool:
    return isinstance(value, dict) and value.get("metric") == "real_time_factor"


def _rows(path: Path) -> Any:
    return [_plain(row) for row in pq.read_table(path).to_pylist()]


def _page(path: Path) -> Any:
    """A page without its decimals, some of which are measured times."""
    return re.sub(r"\d+\.\d+", "#", path.read_text())


READERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys((".md", ".html", ".ipynb"), _page),
    ".json": lambda path: _plain(json.loads(path.read_bytes())),
    ".jsonl": lambda path: [_plain(json.loads(line)) for line in path.read_text().splitlines()],
    ".parquet": _rows,
}

HEAVY = re.compile(r"/(part-[^/]*\.parquet|[^/]*\.npy|[^/]*\.safetensors)$")


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """What tells that a file was written anew, for files that cost something to make; a copy with times keeps it."""
    status = {name: (root / name).stat() for name in walk(root) if HEAVY.search(name)}
    return {name: (found.st_size, found.st_mtime_ns) for name, found in status.items()}


SPLITS = re.compile(r"^codes-(train|held_out)-.*")  # of a training set: made with the table of its split


def unit(name: str) -> str:
    """What is made in one piece with a file: a shard of its stage, a training state, a folder of results."""
    folder, _, file = name.rpartition("/")
    numbered = re.match(r"part-\d+", SPLITS.sub(lambda found: f"part-{int(found[1] != 'train'):05d}", file))
    return f"{folder}/{numbered[0]}" if numbered else folder


def remade(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], hit: Iterable[str]) -> list[str]:
    """Files that were made again, or are gone, although neither they nor what is made with them was hit."""
    units = {unit(name) for name in hit}
    anew = [name for name, stamp in before.items() if after.get(name) != stamp]
    return [name for name in anew if unit(name) not in units and name.rpartition("/")[0] not in units]


def rounds(root: Path, damages: Sequence[str], leave_out: re.Pattern[str]) -> list[dict[str, str]]:
    """Names to damages: in six rounds one file of every kind meets each damage.

    A round hits one or two files of a stage, and up to four where a folder has more kinds.
    """
    found: list[dict[str, str]] = [{} for _ in range(6)]
    folders: dict[str, int] = defaultdict(int)
    for kind, names in kinds(root).items():
        if not leave_out.search(kind):
            for damage in damages:
                found[folders[kind.rpartition("/")[0]] % len(found)][names[-1]] = damage
                folders[kind.rpartition("/")[0]] += 1
    return found
