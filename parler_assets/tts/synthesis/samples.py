"""Evaluation samples: what the fine-tuned checkpoint says, beside real clips, copy-synthesis and the base checkpoint.

Four systems, one row a sample. `finetuned` and `base` speak the same prompts with the same seeds; `real` are held-out
clips of the same speakers and styles, `copy` the same clips encoded and decoded by the codec: the best a model that
speaks through this codec can reach. Rows of one prompt, or of one clip, share the column `prompt`.

A sample depends on its own prompt, seed and checkpoint, which its column `key` is a digest of: samples that are there
already, from a killed run or from a recipe with fewer prompts, are taken over one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from parler_assets import storage
from parler_assets.recipe import Describing, Evaluation, digest
from parler_assets.speech.audio import encode
from parler_assets.storage import Part, SetAside, StageResult
from parler_assets.tts.inputs import Inputs
from parler_assets.tts.synthesis.clips import HeldOutClips
from parler_assets.tts.synthesis.kept import KeptSamples
from parler_assets.tts.synthesis.prompts import Labels, Prompt, evaluation_prompts

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance

VERSION = "2"
BYTES_PER_SECOND = 50_000  # of speech at 44.1 kHz, 16 bits, as FLAC
STAGE = "evaluation_samples"
SAMPLING = ("temperature", "top_k", "guidance_scale", "max_seconds", "precision")
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
        ("ended", pa.bool_()),
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
        InputChanged: a checkpoint or stage was replaced meanwhile; what it has said until then is kept.
    """
    checkpoints = {"finetuned": Path(checkpoint), "base": Path(base)}
    held = Inputs.of(checkpoints.values(), [training_set, *raw.values()])
    corpora = {name: held.stages[path] for name, path in sorted(raw.items())}
    spoken_by = [held.checkpoints[path] for path in checkpoints.values()]
    inputs = [held.stages[training_set], *spoken_by, corpora]
    by_attribute = {attribute: list(names) for attribute, names in (labels or {}).items()}
    fingerprint = digest(settings.speaking, describing, inputs, by_attribute, VERSION)
    clips = HeldOutClips(training_set, raw, checkpoints["base"], settings)
    describe = partial(_describe, settings=describing)
    prompts = evaluation_prompts(settings, clips.texts, describe, labels, clips.texts_of_cells)
    speaker = _Speaker(checkpoints, held, settings, device, KeptSamples(folder, SCHEMA, rebuild))
    plan = _Plan(clips, prompts, speaker)
    return storage.build(
        folder, fingerprint, len(plan.jobs), plan.make, facts=plan.facts, rebuild=rebuild, room=plan.room
    )


def labels_of(bins: Sequence[Path]) -> dict[str, list[str]]:
    """Attribute to its labels, lowest first, as the first lane with text bins has them."""
    return dict(storage.read_manifest(bins[0]).facts.get("labels", {})) if bins else {}


def _describe(attributes: Mapping[str, str], settings: Describing) -> str:
    from parler_assets.speech.descriptions import describe_attributes

    return describe_attributes(attributes, settings=settings)


@dataclass(frozen=True)
class _Job:
    """One shard: all clips of `real` or `copy`, or prompts for a checkpoint to speak."""

    system: str
    prompts: Sequence[Prompt] = ()


@dataclass(frozen=True)
class _Plan:
    clips: HeldOutClips
    prompts: Sequence[Prompt]
    speaker: _Speaker

    @cached_property
    def jobs(self) -> list[_Job]:
        """Held-out clips, then both checkpoints' batches; prompts of like expected length share a batch."""
        size = self.speaker.settings.batch_size
        ordered = sorted(self.prompts, key=lambda prompt: (prompt.seconds, prompt.id))
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        spoken = [_Job(system, batch) for system in ("base", "finetuned") for batch in batches]
        return [_Job(system) for system in ("real", "copy") if self.clips.numbers] + spoken

    def room(self) -> float:
        """Bytes of all samples, those of held-out clips like the others."""
        seconds = sum(prompt.seconds for prompt in self.prompts) * 2
        return seconds * BYTES_PER_SECOND

    def make(self, index: int) -> Part:
        job = self.jobs[index]
        aside: list[SetAside] = []
        if job.prompts:
            rows, aside = self.speaker.rows(job.system, job.prompts)
        elif job.system == "real":
            rows, aside = self.clips.real(STAGE)
        else:
            rows = self.clips.copies(self.speaker.device)
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA), aside)

    def facts(self) -> dict:
        """What the manifest says, once all inputs are still those of the start."""
        self.speaker.inputs.verify()
        settings, digests = self.speaker.settings, self.speaker.digests
        asked = {name: getattr(settings, name) for name in ("speakers", "styles", "rates")}
        counts = {"prompts": len(self.prompts), "clips": len(self.clips.numbers)}
        return {**counts, **asked, "checkpoint": digests["finetuned"], "base": digests["base"]}


class _Speaker:
    """Has the checkpoints speak what is not kept from before; one of them is loaded at a time."""

    def __init__(
        self,
        checkpoints: Mapping[str, Path],
        inputs: Inputs,
        settings: Evaluation,
        device: str,
        kept: KeptSamples,
    ) -> None:
        self.checkpoints, self.inputs, self.settings = checkpoints, inputs, settings
        self.digests = {system: inputs.checkpoints[path] for system, path in checkpoints.items()}
        self.device, self.kept = device, kept
        self._voices: dict = {}

    def rows(self, system: str, prompts: Sequence[Prompt]) -> tuple[list[dict], list[SetAside]]:
        keys = {prompt.id: self._key(system, prompt) for prompt in prompts}
        found = self.kept.find(list(keys.values()))
        self._speak(system, [prompt for prompt in prompts if keys[prompt.id] not in found], keys, found)
        rows, aside = [], []
        for prompt in prompts:
            key, name = keys[prompt.id], f"{system}/{prompt.id}"
            if key not in found:
                aside.append(SetAside(name, STAGE, "the checkpoint ended at once: no audio"))
                continue
            asked = {field: getattr(prompt, field) for field in ASKED}
            rows.append({**found[key], "id": name, "system": system, "prompt": prompt.id, **asked, "key": key})
        return rows, aside

    def _speak(self, system: str, prompts: Sequence[Prompt], keys: Mapping[str, str], found: dict) -> None:
        """Add to `found` what the checkpoint says; nothing where it says nothing."""
        self.kept.clear()
        if not prompts:
            return
        texts, descriptions = [prompt.text for prompt in prompts], [prompt.description for prompt in prompts]
        seeds = [prompt.seed for prompt in prompts]
        for place, spoken in self._voice(system).speak_each(texts, descriptions, self.settings, seeds):
            if len(spoken.samples):
                key = keys[prompts[place].id]
                found[key] = _sound(spoken)
                self.kept.keep(key, found[key])

    def _key(self, system: str, prompt: Prompt) -> str:
        """Digest of all that a sample depends on."""
        settings = {name: value for name, value in self.settings.speaking.items() if name in SAMPLING}
        return digest(self.digests[system], prompt.text, prompt.description, prompt.seed, settings, VERSION)

    def _voice(self, system: str):
        from parler_assets.tts.synthesis.voice import Voice

        if system not in self._voices:
            self._voices = {system: Voice(self.checkpoints[system], self.device, self.settings.precision)}
            self.inputs.verify_checkpoint(self.checkpoints[system])
        return self._voices[system]


def _sound(spoken: Utterance) -> dict:
    made = {"seconds_to_generate": spoken.seconds, "ended": spoken.ended}
    return made | {"audio": encode(spoken.samples, spoken.rate), "duration": spoken.duration}
