"""Evaluation samples: what the fine-tuned checkpoint says, beside real clips, copy-synthesis and the base checkpoint.

Four systems, one row a sample. `finetuned` and `base` speak the same prompts with the same seeds; `real` are held-out
clips of the same speakers and styles, `copy` the same clips encoded and decoded by the codec: the best a model that
speaks through this codec can reach. Rows of one prompt, or of one clip, share the column `prompt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa

from parler_assets.recipe import Describing, Evaluation, digest
from parler_assets.speech import shards
from parler_assets.speech.audio import AudioError, decode, encode
from parler_assets.speech.shards import Part, SetAside, StageResult
from parler_assets.tts.base import checkpoint_digest
from parler_assets.tts.data import HELD_OUT, Split, open_split
from parler_assets.tts.prompts import Prompt, evaluation_prompts

VERSION = "1"
STAGE = "evaluation_samples"
SYSTEMS = ("real", "copy", "base", "finetuned")
CLIPS_PER_CELL = 4  # held-out clips of one speaker and style: enough for a ceiling with an interval
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("system", pa.string()),
        ("prompt", pa.string()),
        ("speaker", pa.string()),
        ("style", pa.string()),
        ("rate", pa.string()),
        ("text", pa.string()),
        ("description", pa.string()),
        ("seed", pa.int64()),
        ("audio", pa.binary()),
        ("duration", pa.float64()),
        ("seconds_to_generate", pa.float64()),
        ("stopped", pa.bool_()),
    ]
)


def synthesize_samples(
    checkpoint: Path,
    base: Path,
    training_set: Path,
    raw: Mapping[str, Path],
    folder: Path,
    settings: Evaluation,
    describing: Describing,
    device: str = "cpu",
    rebuild: bool = False,
) -> StageResult:
    """Generate every sample of the recipe; a killed run goes on at the first batch that is missing.

    Args:
        raw: corpus name to its raw clips, for `real`; a corpus left out has no real clips beside it.

    Raises:
        PromptError: there is no text to speak.
        ShardError: the training set or a corpus is unfinished.
    """
    corpora = {name: shards.read_manifest(path).digest for name, path in sorted(raw.items())}
    inputs = [
        shards.read_manifest(training_set).digest,
        checkpoint_digest(checkpoint),
        checkpoint_digest(base),
        corpora,
    ]
    fingerprint = digest(settings.model_dump(mode="json", exclude={"thresholds"}), describing, inputs, VERSION)
    plan = _Plan(checkpoint, base, training_set, raw, settings, describing, device)
    return shards.build(folder, fingerprint, len(plan.jobs), plan.make, label=STAGE, facts=plan.facts, rebuild=rebuild)


@dataclass(frozen=True)
class _Job:
    """One shard: prompts for a checkpoint to speak, or row numbers of held-out clips."""

    system: str
    prompts: Sequence[Prompt] = ()
    clips: Sequence[int] = ()


class _Plan:
    def __init__(self, checkpoint, base, training_set, raw, settings, describing, device) -> None:
        self.checkpoints = {"finetuned": Path(checkpoint), "base": Path(base)}
        self.training_set, self.raw, self.settings = training_set, raw, settings
        self.describing, self.device = describing, device
        self._voices: dict = {}

    @cached_property
    def held_out(self) -> Split:
        return open_split(self.training_set, HELD_OUT)

    @cached_property
    def jobs(self) -> list[_Job]:
        """Held-out clips, then both checkpoints' batches; prompts of like length share a batch."""
        size = self.settings.batch_size
        ordered = sorted(self.prompts, key=lambda prompt: (len(prompt.text), prompt.id))
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        clips = self._clips()
        spoken = [_Job(system, prompts=batch) for system in ("base", "finetuned") for batch in batches]
        return [_Job(system, clips=clips) for system in ("real", "copy") if clips] + spoken

    @cached_property
    def prompts(self) -> list[Prompt]:
        from parler_assets.speech.descriptions import describe_attributes

        rows = self.held_out.table.select(["speaker", "text"]).to_pylist()
        texts = sorted({row["text"] for row in rows if row["speaker"] in self.settings.speakers})
        return evaluation_prompts(self.settings, texts, partial(describe_attributes, settings=self.describing))

    def _clips(self) -> list[int]:
        """Row numbers of the held-out clips of the recipe's speakers and styles, a few of each."""
        table = self.held_out.table.select(["corpus", "speaker", "style"]).to_pylist()
        cells: dict = {}
        for index, row in enumerate(table):
            wanted = row["speaker"] in self.settings.speakers and row["style"] in self.settings.styles
            if wanted and row["corpus"] in self.raw:
                cells.setdefault((row["speaker"], row["style"]), []).append(index)
        return sorted(index for rows in cells.values() for index in rows[:CLIPS_PER_CELL])

    def make(self, index: int) -> Part:
        job = self.jobs[index]
        return self._speak(job) if job.prompts else self._real(job) if job.system == "real" else self._copy(job)

    def _speak(self, job: _Job) -> Part:
        seed = int(digest(self.settings.seed, [prompt.id for prompt in job.prompts])[:7], 16)
        texts, descriptions = [p.text for p in job.prompts], [p.description for p in job.prompts]
        spoken = self._voice(job.system).speak(texts, descriptions, self.settings, seed)
        rows, aside = [], []
        for prompt, said in zip(job.prompts, spoken, strict=True):
            name = f"{job.system}/{prompt.id}"
            if not len(said.samples):
                aside.append(SetAside(name, STAGE, "the checkpoint ended at once: no audio"))
                continue
            asked = {key: getattr(prompt, key) for key in ("speaker", "style", "rate", "text", "description")}
            made = {"seed": seed, "seconds_to_generate": said.seconds, "stopped": said.stopped}
            sound = {"audio": encode(said.samples, said.rate), "duration": said.duration}
            rows.append({"id": name, "system": job.system, "prompt": prompt.id, **asked, **made, **sound})
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA), aside)

    def _voice(self, system: str):
        from parler_assets.tts.voice import Voice

        if system not in self._voices:
            self._voices = {system: Voice(self.checkpoints[system], self.device)}
        return self._voices[system]

    def _real(self, job: _Job) -> Part:
        """Held-out clips as published, at the codec's rate so that no system is heard at a better one."""
        rate, sounds = _codec_rate(self.checkpoints["base"]), self._published(job.clips)
        rows, aside = [], []
        for index in job.clips:
            try:
                clip = decode(sounds[self._key(index)]).at(rate)
            except (AudioError, KeyError) as error:
                aside.append(SetAside(f"real/{'/'.join(self._key(index))}", STAGE, f"real clip: {error}"))
                continue
            rows.append(self._clip_row("real", index, clip.samples, rate))
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA), aside)

    def _copy(self, job: _Job) -> Part:
        from parler_assets.speech.codec import load_codec

        codec = load_codec(self.checkpoints["base"], self.device)
        sounds = codec.decode([self.held_out.clip(index).T for index in job.clips])
        pairs = zip(job.clips, sounds, strict=True)
        rows = [self._clip_row("copy", index, sound, codec.sampling_rate) for index, sound in pairs]
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA))

    def _clip_row(self, system: str, index: int, samples, rate: int) -> dict:
        row = self.held_out.table.slice(index, 1).to_pylist()[0]
        name = "/".join(self._key(index))
        kept = {key: row[key] for key in ("speaker", "style", "text", "description")}
        sound = {"audio": encode(samples, rate), "duration": len(samples) / rate}
        return {"id": f"{system}/{name}", "system": system, "prompt": name, **kept, **sound}

    def _key(self, index: int) -> tuple[str, str]:
        row = self.held_out.table.select(["corpus", "id"]).slice(index, 1).to_pylist()[0]
        return row["corpus"], row["id"]

    def _published(self, clips: Sequence[int]) -> dict[tuple[str, str], bytes]:
        wanted = {self._key(index) for index in clips}
        found: dict[tuple[str, str], bytes] = {}
        for corpus in {corpus for corpus, _ in wanted}:
            for table in shards.iterate(self.raw[corpus], ["id", "audio"]):
                pairs = zip(table["id"].to_pylist(), table["audio"], strict=True)
                found |= {(corpus, name): audio.as_py() for name, audio in pairs if (corpus, name) in wanted}
        return found

    def facts(self) -> dict:
        return {
            "prompts": len(self.prompts),
            "clips": len(self._clips()),
            "speakers": self.settings.speakers,
            "styles": self.settings.styles,
            "rates": self.settings.rates,
        }


def _codec_rate(checkpoint: Path) -> int:
    import json

    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    return int(config["audio_encoder"]["sampling_rate"])
