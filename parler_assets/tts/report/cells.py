"""What the report shows of each speaker and style: takes (one prompt or one clip) and their players."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parler_assets.speech import shards
from parler_assets.speech.audio import decode, encode
from parler_assets.tts.report.picture import picture

RATE = 16000
MOST_PROMPTS = 4  # of one speaker and style in the page; all samples lie in the stage's folder
SYSTEMS = {"finetuned": "fine-tuned", "base": "base", "copy": "copy", "real": "real"}
HITS = {
    "rate_within_one": "rate",
    "gender_hit": "gender",
    "speaker_hit": "speaker",
    "style_hit": "style",
}


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
    stopped: bool | None


@dataclass
class Take:
    """A prompt as fine-tuned and base speak it, or a held-out clip as recorded and copied."""

    prompt: str
    rate: str
    text: str
    description: str
    players: list[Player] = field(default_factory=list)

    @property
    def missed(self) -> int:
        return max((player.missed for player in self.players if player.system == "finetuned"), default=0)


@dataclass
class Cell:
    """One speaker in one style."""

    speaker: str
    style: str
    takes: list[Take]
    left_out: int

    @property
    def missed(self) -> float:
        counts = [take.missed for take in self.takes if take.rate]
        return sum(counts) / len(counts) if counts else 0.0


def cells(samples: Path, measured: Mapping[str, dict]) -> list[Cell]:
    """All cells in the recipe's order: prompts with their worst first left as generated, then one held-out clip."""
    chosen, left_out = _chosen(samples)
    takes: dict[str, Take] = {}
    for table in shards.iterate(samples):
        for row in table.to_pylist():
            if row["prompt"] in chosen:
                take = takes.setdefault(row["prompt"], _take(row))
                take.players.append(_player(row, measured.get(row["id"], {})))
    made: dict[tuple[str, str], Cell] = {}
    for prompt, key in chosen.items():
        take = takes[prompt]
        take.players.sort(key=lambda player: list(SYSTEMS).index(player.system))
        made.setdefault(key, Cell(*key, [], left_out[key])).takes.append(take)
    return list(made.values())


def _chosen(samples: Path) -> tuple[dict[str, tuple[str, str]], dict[tuple[str, str], int]]:
    """Prompt to its cell, for the prompts shown, in order; and how many of each cell are not shown."""
    facts = shards.read_manifest(samples).facts
    rows = shards.read(samples, ["system", "prompt", "speaker", "style", "rate"]).to_pylist()
    ranks = {rate: rank for rank, rate in enumerate(facts.get("rates", []))}
    prompts: dict = defaultdict(dict)
    for row in rows:
        kind = "clip" if row["system"] in ("real", "copy") else "prompt"
        prompts[row["speaker"], row["style"], kind][row["prompt"]] = row["rate"]
    order = [(speaker, style) for speaker in facts.get("speakers", []) for style in facts.get("styles", [])]
    chosen: dict[str, tuple[str, str]] = {}
    left_out = {}
    for speaker, style in order:
        spoken, clips = prompts[speaker, style, "prompt"], prompts[speaker, style, "clip"]
        ranked = sorted(spoken, key=lambda prompt: ranks.get(spoken[prompt], len(ranks)))  # asked for by degree: last
        every = max(1, len(ranked) // MOST_PROMPTS)
        shown = ranked[::every][:MOST_PROMPTS] if len(ranked) > MOST_PROMPTS else ranked
        chosen |= dict.fromkeys([*shown, *list(clips)[:1]], (speaker, style))
        left_out[speaker, style] = len(ranked) - len(shown)
    return chosen, left_out


def _take(row: dict) -> Take:
    return Take(row["prompt"], row["rate"] or "", row["text"], row["description"])


def _player(row: dict, measured: dict) -> Player:
    clip = decode(row["audio"]).at(RATE)
    sound = base64.b64encode(encode(clip.samples, RATE, "MP3")).decode()
    misses = sum(measured.get(key) is False for key in HITS)
    broken = bool(measured.get("silent")) + (row["stopped"] is False)
    return Player(
        row["system"],
        SYSTEMS[row["system"]],
        f"data:audio/mpeg;base64,{sound}",
        picture(clip),
        row["duration"],
        _facts(measured),
        misses + broken,
        bool(measured.get("silent")),
        row["stopped"],
    )


def _facts(measured: dict) -> list[tuple[str, str, str]]:
    """What was measured, and whether it is what was asked for."""
    pitch, words = measured.get("utterance_pitch_mean"), measured.get("words")
    facts = [
        ("rate", measured.get("speaking_rate"), measured.get("rate_within_one")),
        ("pitch", f"{pitch:.0f} Hz" if pitch else None, measured.get("gender_hit")),
        ("voice", measured.get("speaker_heard"), measured.get("speaker_hit")),
        ("style", measured.get("style_heard"), measured.get("style_hit")),
    ]
    if words and measured.get("word_errors") is not None:
        facts.append(("words wrong", f"{measured['word_errors']} of {words}", measured["word_errors"] == 0))
    named = {True: "hit", False: "miss", None: ""}
    return [(name, str(value), named[hit]) for name, value, hit in facts if value]
