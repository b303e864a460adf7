"""Fine-tuning: what it learns, what it leaves alone, what it measures, and what a kill cannot change."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import signal
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from parler_assets.recipe import Lora
from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.data import HELD_OUT, open_split
from parler_assets.tts.data.collate import Collator
from parler_assets.tts.model.tokenizers import load_tokenizers
from parler_assets.tts.training import checkpoints, launch, memory, metrics, worker
from parler_assets.tts.training.assembly import assemble, refuse_precision
from parler_assets.tts.training.job import Job, TrainingFailed, TrainingRefused, latest
from parler_assets.tts.training.loop import FineTuner
from parler_assets.tts.training.states import MANIFEST, newest_intact
from parler_assets.tts.training.text_states import TextStates
from parler_assets.tts.training.worker import train
from tests.support.trainings import CODEBOOKS, Place, measured, one_thread, settings
from tests.support.victims import killed

__all__ = ["one_thread"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Dropout is on: resuming has to reproduce it."""
    return Place(tmp_path_factory.mktemp("training"), dropout=0.1)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """Without dropout, so that losses can be computed another way, and with a table of positions."""
    return Place(tmp_path_factory.mktemp("still"), rope=False)


@pytest.fixture(scope="module")
def trained(place):
    """An uninterrupted training."""
    return place.train("whole")


def clip_losses(checkpoint, folder) -> list[np.ndarray]:
    """Mean loss by codebook (K,) of every held-out clip, one clip at a time and through the text encoder."""
    model = ParlerTTSForConditionalGeneration.from_pretrained(checkpoint)
    split, collate = open_split(folder, HELD_OUT), Collator(32)
    with torch.no_grad():
        outputs = [model(**collate(split, [row]), loss_reduction="mean") for row in range(len(split))]
    return [torch.stack(output.per_codebook_losses).numpy() for output in outputs]


# ------------------------------------------------------------------------------------------------------------ learning


def test_held_out_loss_falls_and_the_checkpoint_is_complete(place, trained):
    losses = metrics.held_out_losses(trained.metrics)
    assert [step for step, _ in losses] == [0, 4, 8, 12]
    assert losses[-1][1] < 0.8 * losses[0][1]
    model = ParlerTTSForConditionalGeneration.from_pretrained(trained.result)
    assert model.dtype == torch.float32
    assert load_tokenizers(trained.result).prompt("the cat sat")["input_ids"][-1] == 1
    provenance = json.loads((trained.result / "provenance.json").read_text())
    assert provenance["licences"] == {"studio": "CC0-1.0"}
    assert provenance["texts"]["sentences"] >= 1
    assert provenance["base"] == trained.base_digest


def test_text_encoder_and_codec_stay_as_they_were(place, trained):
    before, after = (load_file(folder / "model.safetensors") for folder in (place.base, trained.result))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith(("text_encoder.", "audio_encoder.")) for name in changed)
    assert {"embed_prompts.weight", "decoder.lm_heads.weight"} <= changed


def test_held_out_loss_counts_every_target_once(place, trained):
    by_clip = clip_losses(trained.result, place.set)
    split = open_split(place.set, HELD_OUT)
    line = measured(trained)[-1]
    targets = split.frames + 1
    wanted = np.average(by_clip, axis=0, weights=targets)
    assert line["eval_loss"] == pytest.approx(wanted.mean(), rel=1e-5)
    assert [line[f"eval_codebook/{k}"] for k in range(CODEBOOKS)] == pytest.approx(wanted.tolist(), rel=1e-5)
    for kind in ("speaker", "style"):
        names = np.array(split.table[kind].to_pylist())
        for name in set(names):
            chosen = names == name
            loss = np.average(np.array(by_clip)[chosen].mean(1), weights=targets[chosen])
            assert line[f"eval_{kind}/{name}"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("cut", [{"batch_size": 1}, {"batch_size": 8}, {"max_positions": 80}])
def test_an_update_is_the_same_however_it_is_cut(still, cut):
    one = still.train("one", max_steps=3)
    other = still.train(f"cut{cut}", max_steps=3, **cut)
    for a, b in zip(measured(one), measured(other), strict=True):
        assert a == pytest.approx(b, rel=1e-4)


@pytest.mark.parametrize("kind", ["still", "place"])
def test_padding_changes_neither_loss_nor_gradient(kind, request):
    """One batch, padded and packed, against clips one by one, with a table of positions and with rotary ones."""
    place = request.getfixturevalue(kind)
    trainer = assemble(place.job("padded", settings(batch_size=8)))
    network, read = trainer.network.eval(), trainer.updates.reader
    rows = tuple(trainer.updates[0]["rows"])
    cuts = {"padded": [rows], "packed": [rows], "one by one": [(row,) for row in rows]}
    found = {}
    for cut, batches in cuts.items():
        trainer.packed = cut == "packed"
        network.zero_grad()
        summed = torch.stack([trainer.losses(network, read(batch)) for batch in batches]).sum(0)
        summed.sum().backward()
        found[cut] = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
        found[cut]["loss"] = summed.detach()
    assert not bool(read(rows)["prompt_attention_mask"].all())
    for cut in ("padded", "packed"):
        assert found[cut].keys() == found["one by one"].keys()
        for name, expected in found["one by one"].items():
            scale = float(expected.abs().max())
            torch.testing.assert_close(found[cut][name], expected, rtol=1e-4, atol=2e-5 * scale, msg=f"{cut} {name}")


def test_the_logged_loss_is_the_mean_over_real_targets(still):
    job = still.job("first", settings(max_steps=1))
    trainer = assemble(job)
    update = trainer.updates[0]
    trainer.network.train()
    sums = sum(trainer.losses(trainer.network, batch).detach() for batch in update["batches"])
    trainer.run()
    line = next(line for line in measured(job) if "loss" in line)
    assert line["loss"] == pytest.approx(float(sums.mean()) / update["targets"], rel=1e-5)
    assert line["train_codebook/2"] == pytest.approx(float(sums[2]) / update["targets"], rel=1e-5)
    assert update["frames"] == sum(trainer.updates.plan.lengths.frames[row] for row in update["rows"])


def test_speed_and_time_left_are_reported_while_training_runs(trained):
    lines = [line for line in metrics.read_lines(trained.metrics) if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert all(line["frames_per_second"] > 0 and line["mfu"] > 0 for line in lines)
    assert lines[0]["seconds_left"] > 0
    assert lines[-1]["seconds_left"] == 0


def test_a_share_of_all_updates_can_be_the_warm_up(still):
    job = still.train("warmed", max_steps=4, warmup_ratio=0.5, warmup_steps=0, scheduler="constant_with_warmup")
    rates = [line["learning_rate"] for line in measured(job) if "loss" in line]
    assert rates == pytest.approx([0.0, 0.005, 0.01, 0.01])


def test_a_text_encoder_that_is_not_frozen_is_trained(place):
    job = place.train("thawed", max_steps=2, freeze_text_encoder=False)
    before, after = (load_file(folder / "model.safetensors") for folder in (place.base, job.result))
    name = "text_encoder.encoder.block.0.layer.0.SelfAttention.q.weight"
    assert not torch.equal(before[name], after[name])


def test_bfloat16_keeps_float32_weights_and_nearly_the_same_loss(place, trained):
    job = place.train("half", max_steps=4, precision="bfloat16", gradient_checkpointing=True)
    tensors = load_file(job.result / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert measured(job)[0]["eval_loss"] == pytest.approx(measured(trained)[0]["eval_loss"], rel=0.01)


def test_codebook_weights_change_the_objective(still):
    job = still.train("weighted", max_steps=1, codebook_weights=[1, 0, 0, 0])
    first = measured(job)[0]
    assert first["eval_loss"] == pytest.approx(first["eval_codebook/0"])
    with pytest.raises(TrainingRefused, match="codebook_weights"):
        still.train("wrong", codebook_weights=[1, 1])


# -------------------------------------------------------------------------------------------------------- text encoder


def test_every_distinct_description_is_encoded_once_without_dropout(place):
    model = ParlerTTSForConditionalGeneration.from_pretrained(place.base)
    model.train()
    descriptions = [np.array(ids, np.int32) for ids in ([5, 6, 7, 1], [8, 1], [5, 6, 7, 1])]
    states = TextStates.encode(model.text_encoder, descriptions, 0, "cpu", torch.float32)
    assert states.table.shape[0] == 1 + 4 + 2
    with torch.no_grad():
        for description in descriptions:
            alone = model.describe(torch.tensor(description[None].astype(np.int64)))
            torch.testing.assert_close(states.table[states.rows([description])], alone, rtol=1e-4, atol=1e-5)
    padded = states.table[states.rows(descriptions[:2])]
    assert not padded[1, 2:].any()


# ------------------------------------------------------------------------------------------------------------ resuming


KILLS = {
    "before any checkpoint": ("at an update", 2),
    "in the middle of an epoch": ("at an update", 6),
    "while a checkpoint is written": ("while a checkpoint is written", 2),
    "before a checkpoint has its name": ("before a checkpoint has its name", 5),
    "while metrics are written": ("while metrics are written", 10),
    "while the result is written": ("while the result is written", 1),
}
AVERAGED = {"max_steps": 7, "log_every": 4, "save_every": 3}


@pytest.fixture(scope="module")
def victims(place):
    """Killed trainings and their exit codes, by the moment."""
    jobs = {moment: place.job(f"killed {moment}", settings()) for moment in KILLS}
    jobs["averages"] = place.job("killed averages", settings(**AVERAGED))
    cases = [(jobs[moment], *when) for moment, when in (KILLS | {"averages": ("at an update", 6)}).items()]
    return {moment: (jobs[moment], code) for moment, code in zip(jobs, killed(cases, place.folder), strict=True)}


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_training_goes_on_as_if_nothing_had_happened(victims, trained, moment):
    job, code = victims[moment]
    assert code == -signal.SIGKILL
    assert not job.record.exists()
    train(job)
    assert measured(job) == measured(trained)
    assert json.loads(job.record.read_text())["digest"] == json.loads(trained.record.read_text())["digest"]
    assert not list(job.folder.rglob(".*"))


def test_averages_of_several_updates_survive_a_kill_too(place, victims):
    job, code = victims["averages"]
    assert code == -signal.SIGKILL
    train(job)
    assert measured(job) == measured(place.train("averaged", **AVERAGED))
    assert [line["step"] for line in measured(job) if "loss" in line] == [3, 4, 6, 7]


def test_a_resumed_training_forgets_half_a_line_of_metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        metrics.append(path, {"step": step, "loss": 1.5})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    metrics.resume(path, tmp_path, 2)
    metrics.append(path, {"step": 3, "loss": 2.5})
    assert [line["step"] for line in metrics.read_lines(path)] == [1, 2, 3]


def test_old_checkpoints_are_removed(trained):
    assert [folder.name for folder in sorted(trained.checkpoints.iterdir())] == ["step-00000009", "step-00000012"]
    assert len(list(trained.best.iterdir())) == 1


@contextmanager
def no_room(monkeypatch):
    """The disk is full, as safetensors would find it."""

    def save_file(tensors, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_file", save_file)
        yield


@contextmanager
def a_quota(monkeypatch):
    """The kernel refuses files of more than 4 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("limit", "said"), [(no_room, "No space left"), (a_quota, "File too large")])
@pytest.mark.parametrize(
    ("state", "kept", "after"),
    [("step-00000006", 3, "goes on at update 3"), ("step-00000000", None, "begins again")],
)
def test_a_training_that_cannot_save_stops_and_goes_on_from_its_last_state(
    place, trained, monkeypatch, limit, said, state, kept, after
):
    original = checkpoints.save

    def save(folder, *rest):
        with limit(monkeypatch) if folder.name == state else nullcontext():
            original(folder, *rest)

    job = place.job(f"full {limit.__name__} {state}", settings())
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save)
        with pytest.raises(TrainingFailed, match=rf"{state}.*{said}.*GB, .* GB are free; make room.*{after}"):
            train(job)
    found = latest(job.checkpoints)
    assert (found and found[1]) == kept
    assert not list(job.folder.rglob(".*"))
    train(job)
    assert measured(job) == measured(trained)
    assert json.loads(job.record.read_text())["digest"] == json.loads(trained.record.read_text())["digest"]


def test_a_training_whose_states_will_not_fit_is_refused_before_the_first_update(place, monkeypatch):
    usage = shutil.disk_usage(place.base)
    job = place.job("no room for states", settings())
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
        with pytest.raises(TrainingRefused, match=r"takes about .* MB, 0.1 MB are free.*training.keep_checkpoints"):
            train(job)
    assert latest(job.checkpoints) is None


def test_a_reason_that_the_disk_did_not_take_is_told_by_the_exit_code(place, monkeypatch, tmp_path):
    """Nothing can be written any more, not even why: the launcher still says it."""
    job = dataclasses.replace(place.job("unsaid", settings()), folder=tmp_path)

    def fails(job):
        raise TrainingFailed("update 4 cannot be saved")

    def full(path, *rest, **more):
        raise OSError(28, "No space left on device")

    (tmp_path / launch.LOG).write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(worker, "train", fails)
        patch.setattr(Path, "write_text", full)
        code = worker.explained(job)
    said = str(launch.failure(job, code))
    assert "the disk is full" in said
    assert "free some space" in said


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


@pytest.fixture(scope="module")
def interrupted(place):
    """A training with states of updates 3 and 6, and the best weights of update 4, that was not finished."""
    job = place.job("interrupted", settings())
    with pytest.MonkeyPatch.context() as patch:
        original = FineTuner.update

        def update(self, item):
            if self.step == 6:
                raise KeyboardInterrupt
            original(self, item)

        patch.setattr(FineTuner, "update", update)
        with pytest.raises(KeyboardInterrupt):
            train(job)
    return job


def copied(place, job: Job, name: str) -> Job:
    other = place.job(name, job.settings)
    shutil.copytree(job.folder, other.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("job.json"))
    return other


FILES = (checkpoints.WEIGHTS, checkpoints.OPTIMIZER, checkpoints.STATE, MANIFEST)
DAMAGES = [
    (harm, file) for harm in (flip, cut, Path.unlink) for file in FILES if (harm, file) != (Path.unlink, MANIFEST)
]


@pytest.mark.parametrize(("harm", "file"), DAMAGES)
def test_damage_to_any_file_of_a_state_is_found(place, interrupted, tmp_path, harm, file):
    states = shutil.copytree(interrupted.checkpoints, tmp_path / "states")
    assert newest_intact(states)[1] == 6
    harm(states / "step-00000006" / file)
    assert newest_intact(states) == (states / "step-00000003", 3)
    harm(states / "step-00000003" / file)
    assert newest_intact(states) is None


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
def test_training_goes_on_from_the_state_before_a_damaged_one(place, trained, interrupted, caplog, harm):
    job = copied(place, interrupted, f"damaged {harm.__name__}")
    harm(job.checkpoints / "step-00000006" / checkpoints.OPTIMIZER)
    train(job)
    (warning,) = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert "update 6" in warning
    assert checkpoints.OPTIMIZER in warning
    assert "damaged-step-00000006" in warning
    assert "that of update 3 is used" in warning
    assert measured(job) == measured(trained)
    assert json.loads(job.record.read_text())["digest"] == json.loads(trained.record.read_text())["digest"]


def test_damaged_best_weights_are_not_the_result(place, trained, interrupted, caplog):
    job = copied(place, interrupted, "damaged best")
    flip(next(job.best.iterdir()) / checkpoints.WEIGHTS)
    train(job)
    assert "step-00000004" in caplog.text
    assert measured(job) == measured(trained)
    best, _ = latest(job.best)
    assert newest_intact(job.best) == (best, json.loads(job.record.read_text())["chosen_update"])


def test_states_of_before_there_were_manifests_are_used(place, trained, interrupted):
    job = copied(place, interrupted, "old")
    for manifest in job.folder.rglob(MANIFEST):
        manifest.unlink()
    train(job)
    assert measured(job) == measured(trained)
    cut(latest(job.checkpoints)[0] / checkpoints.WEIGHTS)
    (latest(job.checkpoints)[0] / MANIFEST).unlink()
    assert newest_intact(job.checkpoints)[1] == 9


def test_a_checkpoint_of_another_model_is_not_loaded(place, trained):
    """Whatever it says: one of another training is not even looked at."""
    job = dataclasses.replace(place.job("other", settings(lora=Lora(rank=2))), fingerprint=trained.fingerprint)
    folder, _ = latest(trained.checkpoints)
    job.checkpoints.mkdir()
    (job.checkpoints / folder.name).symlink_to(folder)
    with pytest.raises(ValueError, match="remove it to start afresh"):
        train(job)


# ------------------------------------------------------------------------------------------------ stopping and choosing


def test_a_loss_that_is_not_finite_stops_before_the_optimiser(place, monkeypatch):
    original = FineTuner.losses
    seen = {}

    def losses(self, model, batch, reduction="sum"):
        result = original(self, model, batch, reduction)
        if model.training and self.step == 4:
            seen.update({name: p.detach().clone() for name, p in checkpoints.trained(self.network).items()})
            seen["trainer"] = self
            result = result * float("nan")
        return result

    monkeypatch.setattr(FineTuner, "losses", losses)
    job = place.job("nan", settings())
    with pytest.raises(TrainingFailed, match=r"update 5: .*learning_rate.*studio/clip-.*as of update 3"):
        train(job)
    trainer = seen.pop("trainer")
    for name, parameter in checkpoints.trained(trainer.network).items():
        assert torch.equal(parameter, seen[name])
    assert latest(job.checkpoints)[1] == 3
    assert not job.result.exists()


def scripted(monkeypatch, losses):
    """Held-out losses as given, whatever the weights."""
    remaining = iter(losses)
    monkeypatch.setattr(FineTuner, "held_out_report", lambda self: {"eval_loss": next(remaining)})


def test_training_stops_early_and_ends_with_the_best_weights(place, monkeypatch):
    scripted(monkeypatch, [5.0, 4.0, 4.5, 4.1, 4.2, 3.0])
    job = place.train("early", evaluate_every=1, early_stopping=2)
    record = json.loads(job.record.read_text())
    assert (record["updates"], record["chosen_update"], record["held_out_loss"]) == (3, 1, 4.0)
    best, _ = latest(job.best)
    result = load_file(job.result / "model.safetensors")
    for name, tensor in load_file(best / checkpoints.WEIGHTS).items():
        assert torch.equal(result[name], tensor)
    assert latest(job.checkpoints)[1] == 3


def test_the_last_weights_are_kept_when_the_best_are_not_asked_for(place, monkeypatch):
    scripted(monkeypatch, [5.0, 4.0, 4.5, 4.1])
    job = place.train("last", keep_best=False)
    assert json.loads(job.record.read_text())["chosen_update"] == 12


# ---------------------------------------------------------------------------------------------------------------- LoRA


def test_adapters_are_trained_alone_and_merged_into_a_plain_checkpoint(still):
    job = still.train("lora", lora=Lora(rank=4, targets=["q_proj", "fc1"]), learning_rate=0.05)
    losses = metrics.held_out_losses(job.metrics)
    assert losses[-1][1] < losses[0][1]
    before, after = (load_file(folder / "model.safetensors") for folder in (still.base, job.result))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.split(".")[-2] in ("q_proj", "fc1") for name in changed)
    best = min(loss for _, loss in losses)
    targets = open_split(still.set, HELD_OUT).frames + 1
    by_clip = np.array(clip_losses(job.result, still.set)).mean(1)
    assert np.average(by_clip, weights=targets) == pytest.approx(best, rel=1e-4)


def test_adapters_learn_the_same_with_checkpointing(still):
    """Nothing before the first adapter is trained, which some kinds of checkpointing take for nothing to learn."""
    jobs = [
        still.train(f"{kept}", lora=Lora(rank=2), max_steps=3, gradient_checkpointing=kept) for kept in (True, False)
    ]
    for a, b in zip(*map(measured, jobs), strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    assert all(line["grad_norm"] > 0 for line in measured(jobs[0]) if "grad_norm" in line)


# ------------------------------------------------------------------------------------------------------------ reference


def test_the_reference_s_numbers_are_reported_beside_the_true_ones(still):
    job = still.job("reference", settings(max_steps=1, like_reference=True))
    trainer = assemble(job)
    batches = trainer.updates[0]["batches"]
    trainer.network.train()
    last = trainer.losses(trainer.network, batches[-1]).detach().mean()
    places = sum(batch["labels"].shape[0] * batch["labels"].shape[1] for batch in batches)
    trainer.run()
    lines = measured(job)
    assert lines[1]["reference_loss"] == pytest.approx(float(last) * len(batches) / places, rel=1e-5)
    assert lines[1]["reference_loss"] < lines[1]["loss"]
    rows = np.random.default_rng(456).permutation(len(trainer.reference.reader.split))[:8]
    model = ParlerTTSForConditionalGeneration.from_pretrained(still.base)
    split = trainer.reference.reader.split
    with torch.no_grad():
        means = [float(model(**Collator(32)(split, part.tolist())).loss) for part in (rows[:4], rows[4:])]
    assert lines[0]["reference_eval_loss"] == pytest.approx(np.mean(means), rel=1e-5)


# ------------------------------------------------------------------------------------------------------------- refusing


def test_a_set_made_for_another_base_is_refused(place, tmp_path):
    other = Place(tmp_path)
    job = Job.create(place.set, other.base, tmp_path / "run", settings(), "cpu")
    with pytest.raises(TrainingRefused, match="another base"):
        train(job)


def test_a_card_without_bfloat16_is_refused_with_what_it_can_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(TrainingRefused, match=r"Tesla T4.*training\.precision: float32.*lora"):
        refuse_precision(settings(precision="bfloat16"), "cuda:0")
    refuse_precision(settings(precision="float32"), "cuda:0")
    refuse_precision(settings(precision="bfloat16"), "cpu")


def test_too_little_memory_is_refused_with_what_would_help(place, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 1_000_000)
    with pytest.raises(TrainingRefused, match=r"about .* GB .*gradient_checkpointing.*lora"):
        train(place.job("poor", settings()))


def test_the_estimate_follows_what_costs_memory(still):
    model = ParlerTTSForConditionalGeneration.from_pretrained(still.base)
    model.audio_encoder.requires_grad_(False)

    def total(positions=1000, **changes):
        return memory.estimate(model, model.config.decoder, settings(**changes), positions).total

    assert total(positions=2000) > total()
    assert total(gradient_checkpointing=True) < total()
    assert total(precision="bfloat16", positions=50000) < total(positions=50000)
    enough = memory.estimate(model, model.config.decoder, settings(), 100_000)
    with pytest.raises(TrainingRefused, match="max_positions: "):
        memory.refuse_if_too_large(enough, enough.total * 0.9, settings(), 100_000)
    memory.refuse_if_too_large(enough, enough.total, settings(), 100_000)
