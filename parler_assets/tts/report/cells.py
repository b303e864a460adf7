"""What the report shows: cells of one speaker and style (or one special kind of prompt), takes, and their players."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from parler_assets import storage
from parler_assets.speech.audio import Clip, decode
from parler_assets.tts.report.picture import picture
from parler_assets.tts.scoring.metrics import HITS, SYSTEMS
from parler_assets.tts.synthesis.kept import current
from parler_assets.tts.synthesis.prompts import base_id
from parler_assets.tts.synthesis.rates import MODERATE, RATES

RATE = 16000
MOST_PROMPTS = 3  # of one speaker and style in the page; all samples lie in the stage's folder
SPECIAL = {"graded": "degrees", "emphasis": "marked words", "quality": "recording quality", "long": "long text"}
ROW = ["id", "system", "prompt", "speaker", "style", "rate", "kind", "attribute", "label", "text"]


@dataclass(frozen=True)
class Player:
    """One sample: its sound and picture as data URIs, and what was measured on it."""

    system: str
    name: str
    audio: str
    image: str
    duration: float
    facts: list[tuple[str, str, str]]  # name, value, "hit" | "miss" | ""
    missed: int
    silent: bool
    ended: bool | None


@dataclass
class Take:
    """One text: as recorded and copied where a real clip says it, as base and fine-tuned speak it."""

    prompt: str
    rate: str
    title: str
    text: str
    description: str = ""
    players: list[Player] = field(default_factory=list)

    @property
    def missed(self) -> int:
        return max((player.missed for player in self.players if player.system == "finetuned"), default=0)


@dataclass
class Cell:
    """One speaker in one style, or one speaker in prompts of a special kind."""

    speaker: str
    style: str
    kind: str
    takes: list[Take]
    left_out: int = 0

    @property
    def missed(self) -> float:
        counts = [take.missed for take in self.takes if take.rate]
        return sum(counts) / len(counts) if counts else 0.0

    @property
    def share(self) -> float | None:
        """Share of requests that the fine-tuned samples shown met."""
        ours = [player for take in self.takes for player in take.players if player.system == "finetuned"]
        verdicts = [verdict for player in ours for _, _, verdict in player.facts if verdict]
        return verdicts.count("hit") / len(verdicts) if verdicts else None

    @property
    def heard(self) -> Player | None:
        """The first fine-tuned sample, for the overview."""
        return next((p for take in self.takes for p in take.players if p.system == "finetuned"), None)


def cells(samples: Path, measured: Mapping[str, dict]) -> list[Cell]:
    """Cells in the recipe's order, then the special kinds of prompts by speaker."""
    made, takes = _planned(samples, measured)
    for table in storage.iterate(samples):
        for row in current(table).to_pylist():
            for take in takes.get(row["prompt"], ()):
                take.description = take.description if row["kind"] == "clip" and take.rate else row["description"]
                take.players.append(_player(row, measured.get(row["id"], {})))
    for take in {id(take): take for found in takes.values() for take in found}.values():
        take.players.sort(key=lambda player: list(SYSTEMS).index(player.system))
    return made


def _planned(samples: Path, measured: Mapping[str, dict]) -> tuple[list[Cell], dict[str, list[Take]]]:
    """Cells with takes that have no players yet, and prompt (or clip) to the takes that show it."""
    facts = storage.read_manifest(samples).facts
    groups: dict = defaultdict(dict)
    for row in storage.read(samples, ROW).to_pylist():
        special = row["kind"] in SPECIAL
        if base_id(row["prompt"]) == row["prompt"]:
            groups[row["speaker"], row["kind"] if special else row["style"]].setdefault(row["prompt"], row)
    made: list[Cell] = []
    takes: dict[str, list[Take]] = defaultdict(list)
    for style in facts.get("styles", []):
        for speaker in facts.get("speakers", []):
            made.append(_grid_cell(speaker, style, groups[speaker, style].values(), measured, takes))
    made.sort(key=lambda cell: facts["speakers"].index(cell.speaker))
    for kind, speaker in ((kind, speaker) for kind in SPECIAL for speaker in facts.get("speakers", [])):
        rows = (
            _ends_and_middle([*groups[speaker, kind].values()]) if kind == "graded" else groups[speaker, kind].values()
        )
        if rows:
            made.append(Cell(speaker, SPECIAL[kind], kind, [_take(row, takes) for row in rows]))
    return made, takes


def _grid_cell(speaker: str, style: str, rows, measured: Mapping[str, dict], takes: dict) -> Cell:
    """Prompts of one cell; a real clip stands beside the prompt with its words whose rate is nearest."""
    prompts = sorted((row for row in rows if row["kind"] == "grid"), key=lambda row: (row["text"], _place(row["rate"])))
    every = max(1, len(prompts) // MOST_PROMPTS)
    shown = prompts[::every][:MOST_PROMPTS] if len(prompts) > MOST_PROMPTS else prompts
    cell = Cell(speaker, style, "grid", [_take(row, takes) for row in shown], len(prompts) - len(shown))
    clips = [row for row in rows if row["kind"] == "clip"]
    said = {take.text for take in cell.takes}
    clip = next((row for row in clips if row["text"] in said), clips[0] if clips else None)
    if clip is None:
        return cell
    rate = measured.get(f"real/{clip['prompt']}", {}).get("speaking_rate")
    same = [take for take in cell.takes if take.text == clip["text"]]
    if same:
        takes[clip["prompt"]].append(min(same, key=lambda take: abs(_place(take.rate) - _place(rate))))
    else:
        cell.takes.append(_take(clip, takes))
    return cell


def _place(rate: str | None) -> int:
    return RATES.index(rate) if rate in RATES else MODERATE


def _ends_and_middle(rows: Sequence[dict]) -> list[dict]:
    """Of each attribute's degrees the first, the middle and the last."""
    by_attribute: dict = defaultdict(list)
    for row in rows:
        by_attribute[row["attribute"]].append(row)
    return [found[place] for found in by_attribute.values() for place in sorted({0, len(found) // 2, len(found) - 1})]


def _take(row: dict, takes: dict) -> Take:
    titles = {"emphasis": "marked" if "*" in row["text"] else "without the mark", "long": "several sentences"}
    title = row["label"] or titles.get(row["kind"]) or row["rate"] or "held-out recording"
    take = Take(row["prompt"], row["rate"] or "", title, row["text"])
    takes[row["prompt"]].append(take)
    return take


def _player(row: dict, measured: dict) -> Player:
    clip = decode(row["audio"]).at(RATE)
    sound = base64.b64encode(_mp3(clip)).decode()
    misses = sum(measured.get(key) is False for key in HITS)
    broken = bool(measured.get("silent")) + (row["ended"] is False) + (measured.get("length_plausible") is False)
    return Player(
        row["system"],
        SYSTEMS[row["system"]],
        f"data:audio/mpeg;base64,{sound}",
        picture(clip),
        row["duration"],
        _facts(measured),
        misses + broken,
        bool(measured.get("silent")),
        row["ended"],
    )


def _mp3(clip: Clip) -> bytes:
    """About 5 kB a second: the stage keeps lossless audio."""
    buffer = io.BytesIO()
    samples = np.clip(clip.samples, -1, 1)
    soundfile.write(buffer, samples, clip.rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.8)
    return buffer.getvalue()


def _beside(measured: dict, found: str, asked: str, near: str = "") -> str | None:
    """What was measured, and what had been asked for where that is something else; a neighbour counts as met."""
    value, wanted = measured.get(found), measured.get(asked)
    if not value or not wanted or value == wanted:
        return value
    return f"{value}, next to {wanted}" if measured.get(near) else f"{value}, asked {wanted}"


def _facts(measured: dict) -> list[tuple[str, str, str]]:
    """What was measured, and whether it is what was asked for."""
    pitch, words, mos = (measured.get(name) for name in ("utterance_pitch_mean", "words", "distillmos"))
    facts = [
        ("rate", _beside(measured, "speaking_rate", "rate", "rate_within_one"), measured.get("rate_within_one")),
        ("pitch", f"{pitch:.0f} Hz" if pitch else None, measured.get("gender_hit")),
        ("voice", _beside(measured, "speaker_heard", "speaker"), measured.get("speaker_hit")),
        ("style", _beside(measured, "style_heard", "style"), measured.get("style_hit")),
    ]
    if measured.get("noise_asked") and measured.get("kind") != "clip":
        facts.append(
            ("noise", _beside(measured, "noise", "noise_asked", "noise_within_one"), measured.get("noise_within_one"))
        )
    if words and measured.get("word_errors") is not None:
        facts.append(("words wrong", f"{measured['word_errors']} of {words}", measured["word_errors"] == 0))
    if mos:
        facts.append(("MOS", f"{mos:.1f} predicted", None))
    if measured.get("length_plausible") is False:
        facts.append(("length", "not plausible", False))
    named = {True: "hit", False: "miss", None: ""}
    return [(name, str(value), named[hit]) for name, value, hit in facts if value]
