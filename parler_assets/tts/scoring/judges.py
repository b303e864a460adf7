"""Judges with weights of their own: SQUIM, DistillMOS, and Whisper as an open ASR.

Each is used where its weights are available, on some samples of every system since they are slow; one that is not here
is named with its reason and never scored as zero. Nothing is loaded before it is known to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parler_assets import storage
from parler_assets.hub.pretrained import checked_folder, refuse_larger, whole
from parler_assets.hub.revisions import RevisionError, settled_commit
from parler_assets.intake.remote_code import first_line
from parler_assets.recipe import Evaluation, digest
from parler_assets.recipe.places import is_folder
from parler_assets.speech.audio import Clip, decode
from parler_assets.storage import Part
from parler_assets.tts.scoring.measure import evenly

VERSION = "2"
RATE = 16000
BATCH = 8
SQUIM = ("squim_stoi", "squim_pesq", "squim_si_sdr")
INSTALL = "pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0"  # it asks for torchaudio, which it needs not
Judge = Callable[[Sequence[Clip]], list[dict]]


class JudgeMissing(RuntimeError):
    """A judge that is not here; the message is the reason shown in the scorecard."""


def squim(settings: Evaluation, device: str) -> Judge:
    """STOI, PESQ and SI-SDR without a reference."""
    from parler_assets.hub.errors import AnnotatorError

    try:
        from parler_assets.speech.annotation.squim import Squim

        network = Squim(device)
    except AnnotatorError as error:
        raise JudgeMissing(f"SQUIM: {error}") from None

    def judge(clips: Sequence[Clip]) -> list[dict]:
        found = network([clip.at(RATE) for clip in clips])
        return [{"squim_stoi": q.stoi, "squim_pesq": q.pesq, "squim_si_sdr": q.si_sdr} for q in found]

    return judge


def distillmos(settings: Evaluation, device: str) -> Judge:
    """A predicted mean opinion score, 1 to 5."""
    from parler_assets.tts.scoring.distillmos import is_installed, load_distillmos

    if not is_installed():
        raise JudgeMissing(f"a predictor of naturalness (DistillMOS, of UTMOS's kind) is not installed: {INSTALL}")
    import torch

    network = load_distillmos(device)

    @torch.inference_mode()
    def judge(clips: Sequence[Clip]) -> list[dict]:
        sounds = [torch.from_numpy(clip.at(RATE).samples).to(device) for clip in clips]
        return [{"distillmos": float(network(sound))} for sound in sounds]

    return judge


def whisper(settings: Evaluation, device: str) -> Judge:
    """What a Whisper checkpoint transcribes, greedily; safetensors only."""
    name = settings.recogniser
    if name is None:
        raise JudgeMissing("no open recogniser was chosen: set evaluation.recogniser to a Whisper checkpoint")
    model, processor = load_whisper(name, settings.recogniser_revision, device)
    # an English-only checkpoint has no languages and takes none
    languages = getattr(model.generation_config, "lang_to_id", None) or {}
    code = settings.language.replace("_", "-").partition("-")[0].lower()
    if code != "en" and f"<|{code}|>" not in languages:
        raise JudgeMissing(f"the open recogniser {name} does not know the language {code}: choose a multilingual one")
    asked = {"language": code, "task": "transcribe"} if languages else {}

    def judge(clips: Sequence[Clip]) -> list[dict]:
        sounds = [clip.at(RATE).samples for clip in clips]
        given = processor(sounds, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True).to(device)
        features = given.input_features.to(model.dtype)
        ids = model.generate(features, attention_mask=given.attention_mask, max_new_tokens=200, **asked)
        return [{"transcript_open": text.strip()} for text in processor.batch_decode(ids, skip_special_tokens=True)]

    return judge


def load_whisper(name: str, revision: str, device: str) -> tuple[Any, Any]:
    """Model and processor. The published checkpoint is float16: kept on a GPU, float32 on the CPU, which has no
    fast arithmetic for it."""
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    dtype = torch.float32 if device == "cpu" else "auto"
    try:
        folder = checked_folder(name, revision)
        refuse_larger(WhisperForConditionalGeneration, folder)
        model: Any = WhisperForConditionalGeneration.from_pretrained(
            folder, use_safetensors=True, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
        model = whole(model, folder)
        processor = WhisperProcessor.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # whatever the library makes of files that it did not write
        reason = first_line(error)[:240]
        raise JudgeMissing(f"the open recogniser {name} cannot be loaded here: {reason}") from None
    return model.to(device).eval(), processor


def pinned(settings: Evaluation) -> Evaluation:
    """The settings with the commit of a recogniser on the Hub in place of a branch, see `hub.revisions`.

    Where no commit is known the branch stays, and loading the recogniser says what is missing.
    """
    name = settings.recogniser
    if name is None or is_folder(name):
        return settings
    try:
        commit = settled_commit(name, settings.recogniser_revision, kind="model")
    except RevisionError:
        return settings
    return settings.model_copy(update={"recogniser_revision": commit})


def commits(settings: Evaluation) -> dict[str, str]:
    """Repository to commit of the recogniser in settings that are pinned."""
    name = settings.recogniser
    return {name: settings.recogniser_revision} if name and not is_folder(name) else {}


JUDGES: tuple[tuple[Callable[[Evaluation, str], Judge], tuple[str, ...]], ...] = (
    (squim, SQUIM),
    (distillmos, ("distillmos",)),
    (whisper, ("word_error_rate_open",)),
)


def judge_samples(
    samples: Path, rows: Sequence[dict], folder: Path, settings: Evaluation, device: str = "cpu", rebuild: bool = False
) -> tuple[dict[str, dict], dict[str, str]]:
    """What the judges say: sample id to its values, and score to the reason why it is unavailable.

    Each hears the same `settings.judged` samples of every system, evenly chosen; finished batches are kept.
    """
    chosen = _chosen(rows, settings.judged)
    judges, reasons = _present(settings, device, bool(chosen))
    if not judges:
        return {}, reasons
    batches = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
    sounds = _sounds(samples, set(chosen))

    def make(index: int) -> Part:
        import pyarrow as pa

        clips = [decode(sounds[name]) for name in batches[index]]
        values = [judge(clips) for judge in judges]
        merged = [
            {"id": name} | {k: v for found in each for k, v in found.items()}
            for name, each in zip(batches[index], zip(*values, strict=True), strict=True)
        ]
        return Part(pa.Table.from_pylist(merged))

    source = storage.read_manifest(samples).digest
    fingerprint = digest(source, chosen, *settings.recognising, settings.language, reasons, VERSION)
    result = storage.build(folder, fingerprint, len(batches), make, rebuild=rebuild)
    return {row["id"]: row for row in storage.read(result.folder).to_pylist()}, reasons


def _present(settings: Evaluation, device: str, wanted: bool) -> tuple[list[Judge], dict[str, str]]:
    judges: list[Judge] = []
    reasons: dict[str, str] = {}
    for load, metrics in JUDGES:
        try:
            if not wanted:
                raise JudgeMissing("evaluation.judged is 0: the slow judges were not asked")
            judges.append(load(settings, device))
        except JudgeMissing as error:
            reasons |= dict.fromkeys(metrics, str(error))
    return judges, reasons


def _chosen(rows: Sequence[dict], count: int) -> list[str]:
    """Ids, `count` of each system, the same prompts of base and fine-tuned; silent samples are judged too."""
    return evenly([row for row in rows if row["kind"] in ("grid", "clip")], count)


def _sounds(samples: Path, wanted: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for table in storage.iterate(samples, ["id", "audio"]):
        pairs = zip(table["id"].to_pylist(), table["audio"], strict=True)
        found |= {name: audio.as_py() for name, audio in pairs if name in wanted}
    return found
