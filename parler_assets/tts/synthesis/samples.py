"""Evaluation samples: what the fine-tuned checkpoint says, beside real clips, copy-synthesis and the base checkpoint.

Four systems, one row a sample. `finetuned` and `base` speak the same prompts with the same seeds; `real` are held-out
clips of the same speakers and styles, `copy` the same clips encoded and decoded by the codec: the best a model that
speaks through this codec can reach. Rows of one prompt, or of one clip, share the column `prompt`.

A sample depends on its own prompt, seed and checkpoint, which its column `key` is a digest of: samples that are there
already, from a killed run or from a recipe with fewer prompts, are taken over one by one. Each is written to a small
file as soon as it has ended, so that a kill in the middle of a batch loses what was not finished and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets import storage
from parler_assets.recipe import Describing, Evaluation, digest
from parler_assets.speech.audio import AudioError, decode, encode
from parler_assets.storage import Part, SetAside, StageResult
from parler_assets.tts.base import checkpoint_digest
from parler_assets.tts.data import HELD_OUT, Split, open_split
from parler_assets.tts.synthesis.prompts import Labels, Prompt, evaluation_prompts

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance

VERSION = "2"
STAGE = "evaluation_samples"
SYSTEMS = ("real", "copy", "base", "finetuned")
SAMPLING = ("temperature", "top_k", "guidance_scale", "max_seconds")
CLIPS_PER_CELL = 4  # held-out clips of one speaker and style: enough for a ceiling with an interval
ASKED = ("speaker", "style", "rate", "kind", "attribute", "label", "text", "description", "seed")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("system", pa.string()),
        ("prompt", pa.string()),
        ("speaker", pa.string()),
        ("style", pa.string()),
        ("rate", pa.string()),
        ("kind", pa.string()),
        ("attribute", pa.string()),
        ("label", pa.string()),
        ("text", pa.string()),
        ("description", pa.string()),
        ("seed", pa.int64()),
        ("key", pa.string()),
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
    labels: Labels | None = None,
) -> StageResult:
    """Generate every sample of the recipe that is not there yet.

    Args:
        raw: corpus name to its raw clips, for `real`; a corpus left out has no real clips beside it.
        labels: attribute to its labels, lowest first, for graded prompts; rates need none.

    Raises:
        PromptError: there is no text to speak.
        ShardError: the training set or a corpus is unfinished.
    """
    corpora = {name: storage.read_manifest(path).digest for name, path in sorted(raw.items())}
    inputs = [
        storage.read_manifest(training_set).digest,
        checkpoint_digest(checkpoint),
        checkpoint_digest(base),
        corpora,
    ]
    fingerprint = digest(
        settings.speaking, describing, inputs, {k: list(v) for k, v in (labels or {}).items()}, VERSION
    )
    plan = _Plan(checkpoint, base, training_set, raw, settings, describing, device)
    plan.folder = folder
    plan.labels = labels
    plan.earlier = {} if rebuild else _spoken_before(folder)
    return storage.build(folder, fingerprint, len(plan.jobs), plan.make, label=STAGE, facts=plan.facts, rebuild=rebuild)


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
        self.labels: Labels | None = None
        self.folder: Path | None = None
        self.earlier: dict[str, Path] = {}
        self._voices: dict = {}
        self._loose: list[Path] = []  # samples of the batch before, which its shard holds by now
        self._digests: dict[str, str] = {}

    @cached_property
    def held_out(self) -> Split:
        return open_split(self.training_set, HELD_OUT)

    @cached_property
    def jobs(self) -> list[_Job]:
        """Held-out clips, then both checkpoints' batches; prompts of like expected length share a batch."""
        size = self.settings.batch_size
        ordered = sorted(self.prompts, key=lambda prompt: (prompt.seconds, prompt.id))
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        clips = self._clips()
        spoken = [_Job(system, prompts=batch) for system in ("base", "finetuned") for batch in batches]
        return [_Job(system, clips=clips) for system in ("real", "copy") if clips] + spoken

    @cached_property
    def prompts(self) -> list[Prompt]:
        from parler_assets.speech.descriptions import describe_attributes

        rows = self.held_out.table.select(["speaker", "text"]).to_pylist()
        texts = sorted({row["text"] for row in rows if row["speaker"] in self.settings.speakers})
        describe = partial(describe_attributes, settings=self.describing)
        return evaluation_prompts(self.settings, texts, describe, self.labels, self._spoken())

    def _spoken(self) -> dict[tuple[str, str], list[str]]:
        """(speaker, style) to what the real clips beside the samples say."""
        found: dict = {}
        for row in self.held_out.table.select(["speaker", "style", "text"]).take(self._clips()).to_pylist():
            found.setdefault((row["speaker"], row["style"]), []).append(row["text"])
        return found

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
        keys = {prompt.id: self._key_of(job.system, prompt) for prompt in job.prompts}
        found = self._found([keys[prompt.id] for prompt in job.prompts])
        missing = [prompt for prompt in job.prompts if keys[prompt.id] not in found]
        made = self._generate(job.system, missing, keys)
        rows, aside = [], []
        for prompt in job.prompts:
            key, name = keys[prompt.id], f"{job.system}/{prompt.id}"
            row = found.get(key) or made[key]
            if row is None:
                aside.append(SetAside(name, STAGE, "the checkpoint ended at once: no audio"))
                continue
            asked = {field: getattr(prompt, field) for field in ASKED}
            rows.append({**row, "id": name, "system": job.system, "prompt": prompt.id, **asked, "key": key})
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA), aside)

    def _generate(self, system: str, prompts: Sequence[Prompt], keys: Mapping[str, str]) -> dict[str, dict | None]:
        """Key of each prompt to what is made of it; None where the checkpoint said nothing."""
        while self._loose:
            self._loose.pop().unlink(missing_ok=True)
        if not prompts:
            return {}
        texts, descriptions = [prompt.text for prompt in prompts], [prompt.description for prompt in prompts]
        made: dict[str, dict | None] = {}
        seeds = [prompt.seed for prompt in prompts]
        for place, said in self._voice(system).speak_each(texts, descriptions, self.settings, seeds):
            key = keys[prompts[place].id]
            made[key] = _sound(said) if len(said.samples) else None
            self._keep(key, made[key])
        return made

    def _keep(self, key: str, row: dict | None) -> None:
        """Write one sample where a run after a kill finds it."""
        if row is None or self.folder is None:
            return
        self._loose.append(self.folder / f"part-sample-{key}.parquet")
        with storage.replacing(self._loose[-1]) as temporary:
            pq.write_table(pa.Table.from_pylist([{**row, "key": key}], schema=SCHEMA), temporary)

    def _key_of(self, system: str, prompt: Prompt) -> str:
        """Digest of all that a sample depends on."""
        settings = {name: getattr(self.settings, name) for name in SAMPLING}
        return digest(self._digest(system), prompt.text, prompt.description, prompt.seed, settings, VERSION)

    def _digest(self, system: str) -> str:
        if system not in self._digests:
            self._digests[system] = checkpoint_digest(self.checkpoints[system])
        return self._digests[system]

    def _found(self, keys: Sequence[str]) -> dict[str, dict]:
        """Rows of these keys in earlier shards."""
        wanted = set(keys)
        rows = [
            row
            for path in {self.earlier[key] for key in keys if key in self.earlier}
            for row in pq.read_table(path, filters=[("key", "in", wanted)]).to_pylist()
        ]
        return {row["key"]: row for row in rows}

    def _voice(self, system: str):
        from parler_assets.tts.synthesis.voice import Voice

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
        from parler_assets.speech.codec.codec import load_codec

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
        return {"id": f"{system}/{name}", "system": system, "prompt": name, "kind": "clip", **kept, **sound}

    def _key(self, index: int) -> tuple[str, str]:
        row = self.held_out.table.select(["corpus", "id"]).slice(index, 1).to_pylist()[0]
        return row["corpus"], row["id"]

    def _published(self, clips: Sequence[int]) -> dict[tuple[str, str], bytes]:
        wanted = {self._key(index) for index in clips}
        found: dict[tuple[str, str], bytes] = {}
        for corpus in {corpus for corpus, _ in wanted}:
            for table in storage.iterate(self.raw[corpus], ["id", "audio"]):
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


def labels_of(bins: Sequence[Path]) -> dict[str, list[str]]:
    """Attribute to its labels, lowest first, as the first lane with text bins has them."""
    return dict(storage.read_manifest(bins[0]).facts.get("labels", {})) if bins else {}


def _spoken_before(folder: Path) -> dict[str, Path]:
    """Key to the shard that has it, over whatever shards lie in the folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("part-*.parquet")):
        if "key" in pq.read_schema(path).names:
            found |= {key: path for key in pq.read_table(path, columns=["key"])["key"].to_pylist() if key}
    return found


def _sound(said: Utterance) -> dict:
    made = {"seconds_to_generate": said.seconds, "stopped": said.stopped}
    return made | {"audio": encode(said.samples, said.rate), "duration": said.duration}


def _codec_rate(checkpoint: Path) -> int:
    import json

    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    return int(config["audio_encoder"]["sampling_rate"])
