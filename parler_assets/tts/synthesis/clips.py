"""Held-out clips beside generated speech: as they were recorded, and as the codec alone gives them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from parler_assets import storage
from parler_assets.recipe import Evaluation
from parler_assets.speech.audio import AudioError, decode, encode
from parler_assets.storage import SetAside
from parler_assets.tts.data import HELD_OUT, Split, open_split

PER_CELL = 4  # clips of one speaker and style: enough for a ceiling with an interval
AT_ONCE = 16  # copies whose samples are in memory together
KEPT = ("speaker", "style", "text", "description")


class HeldOutClips:
    """The held-out clips of a recipe's speakers and styles, a few of each.

    Args:
        raw: corpus to its raw clips; a corpus left out has no clips here.
        codec: the checkpoint whose codec made the codes.
    """

    def __init__(self, training_set: Path, raw: Mapping[str, Path], codec: Path, settings: Evaluation) -> None:
        self.training_set, self.raw, self.codec, self.settings = training_set, raw, codec, settings

    @cached_property
    def split(self) -> Split:
        return open_split(self.training_set, HELD_OUT)

    @cached_property
    def numbers(self) -> list[int]:
        """Rows of the split."""
        cells: dict = {}
        for number, row in enumerate(self.split.table.select(["corpus", "speaker", "style"]).to_pylist()):
            wanted = row["speaker"] in self.settings.speakers and row["style"] in self.settings.styles
            if wanted and row["corpus"] in self.raw:
                cells.setdefault((row["speaker"], row["style"]), []).append(number)
        return sorted(number for rows in cells.values() for number in rows[:PER_CELL])

    @cached_property
    def rows(self) -> list[dict]:
        return self.split.table.select(["corpus", "id", *KEPT]).take(np.array(self.numbers, np.int64)).to_pylist()

    @property
    def texts(self) -> list[str]:
        """What the recipe's speakers say in any held-out clip."""
        rows = self.split.table.select(["speaker", "text"]).to_pylist()
        return sorted({row["text"] for row in rows if row["speaker"] in self.settings.speakers})

    @property
    def texts_of_cells(self) -> dict[tuple[str, str], list[str]]:
        """(speaker, style) to what the clips say."""
        found: dict = {}
        for row in self.rows:
            found.setdefault((row["speaker"], row["style"]), []).append(row["text"])
        return found

    def real(self, stage: str) -> tuple[list[dict], list[SetAside]]:
        """Rows of the clips as published, at the codec's rate so that no system is heard at a better one."""
        rate = codec_rate(self.codec)
        sounds = self._published(rate)
        rows, aside = [], []
        for row in self.rows:
            sound = sounds.get((row["corpus"], row["id"]), "it is not among the raw clips")
            if isinstance(sound, str):
                aside.append(SetAside(f"real/{row['corpus']}/{row['id']}", stage, f"real clip: {sound}"))
            else:
                rows.append(_clip_row("real", row, sound, rate))
        return rows, aside

    def copies(self, device: str) -> list[dict]:
        """Rows of the clips encoded and decoded by the codec."""
        from parler_assets.speech.codec.codec import load_codec

        codec, rows = load_codec(self.codec, device), []
        for start in range(0, len(self.numbers), AT_ONCE):
            sounds = codec.decode([self.split.clip(number).T for number in self.numbers[start : start + AT_ONCE]])
            pairs = zip(self.rows[start : start + AT_ONCE], sounds, strict=True)
            rows += [_clip_row("copy", row, sound, codec.sampling_rate) for row, sound in pairs]
        return rows

    def _published(self, rate: int) -> dict[tuple[str, str], np.ndarray | str]:
        """Samples at `rate` of each clip, or why there are none; files are in memory one group at a time."""
        wanted = {(row["corpus"], row["id"]) for row in self.rows}
        found: dict[tuple[str, str], np.ndarray | str] = {}
        for corpus in {corpus for corpus, _ in wanted}:
            for shard in storage.read_manifest(self.raw[corpus]).shards:
                for table in storage.read_groups(self.raw[corpus], shard, ["id", "audio"]):
                    pairs = zip(table["id"].to_pylist(), table["audio"], strict=True)
                    found |= {(corpus, n): _heard(data.as_py(), rate) for n, data in pairs if (corpus, n) in wanted}
        return found


def _heard(data: bytes, rate: int) -> np.ndarray | str:
    try:
        return decode(data).at(rate).samples
    except AudioError as error:
        return str(error)


def _clip_row(system: str, row: Mapping, samples: np.ndarray, rate: int) -> dict:
    name = f"{row['corpus']}/{row['id']}"
    sound = {"audio": encode(samples, rate), "duration": len(samples) / rate}
    asked = {key: row[key] for key in KEPT}
    return {"id": f"{system}/{name}", "system": system, "prompt": name, "kind": "clip", **asked, **sound}


def codec_rate(checkpoint: Path) -> int:
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    return int(config["audio_encoder"]["sampling_rate"])
