"""Training in processes of its own: followed live, resumed, and ended on every way out."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from parler_assets.tts.training import assembly, launch, metrics
from parler_assets.tts.training.job import Job, TrainingFailed, TrainingRefused, step_folder
from parler_assets.tts.training.launch import run_training
from parler_assets.tts.training.loop import FineTuner
from parler_assets.tts.training.ranks import CONFIG, LAUNCHER, WORKER
from parler_assets.tts.training.states import made_by, seal
from parler_assets.tts.training.worker import train
from tests.support import victims
from tests.support.trainings import Place, in_this_process, measured, one_thread, settings, write_base

__all__ = ["one_thread"]

pytestmark = pytest.mark.timeout(300)

# A training that is only its processes: writes two lines of metrics, then waits with a child of its own.
STAND_IN = """
import json, os, subprocess, sys, time
from parler_assets.tts.training.ranks import exit_with_parent
exit_with_parent()
folder = os.path.dirname(sys.argv[1])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(os.path.join(folder, "pids"), "w").write(f"{os.getpid()} {child.pid}")
for step in range(2):
    with open(os.path.join(folder, "metrics.jsonl"), "a") as file:
        file.write(json.dumps({"step": step, "loss": 1.0}) + chr(10))
time.sleep(600)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("launch"))


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(launch, "command", lambda job: [sys.executable, "-c", STAND_IN, str(job.folder / "job.json")])


def run(place, name, on_metrics=None, rebuild=False, **changes):
    return run_training(place.set, place.base, place.folder / name, settings(**changes), "cpu", on_metrics, rebuild)


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def wait_until(condition, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


# ------------------------------------------------------------------------------------------------------ real trainings


@pytest.fixture(scope="module")
def finished(place):
    seen = []
    return run(place, "finished", seen.append), seen


@pytest.fixture(scope="module")
def undisturbed(place):
    """The same training, in this process."""
    return place.train("here")


def test_a_training_is_followed_and_gives_what_one_process_gives(finished, undisturbed):
    result, seen = finished
    assert seen == result.metrics
    assert measured(undisturbed) == measured(Job.read(result.folder / "job.json"))
    assert (result.updates, result.reused) == (12, False)
    assert result.held_out_loss == min(loss for _, loss in metrics.held_out_losses(undisturbed.metrics))
    assert (result.checkpoint / "model.safetensors").is_file()


@pytest.mark.parametrize("lost", [("manifest.json",), ("manifest.json", "provenance.json")])
def test_a_checkpoint_that_lost_its_digests_gets_them_again(place, finished, lost):
    folder = finished[0].checkpoint
    before = {name: (folder / name).read_bytes() for name in lost}
    for name in lost:
        (folder / name).unlink()
    found = launch._finished(Job.read(finished[0].folder / "job.json"))
    if len(lost) == 1:
        assert found
        assert (folder / "manifest.json").read_bytes() == before["manifest.json"]
        assert run(place, "finished").reused
    else:  # nobody knows what it was made from: it is made again
        assert found is None
        for name, content in before.items():
            (folder / name).write_bytes(content)


def test_a_finished_training_is_reused_until_something_changes(place, finished, stand_in):
    first, _ = finished
    again = run(place, "finished", log_every=5, save_every=7)
    assert (again.reused, again.digest, again.metrics) == (True, first.digest, first.metrics)
    with pytest.raises(KeyboardInterrupt):
        run(place, "finished", interrupt, learning_rate=0.02)
    assert [line["step"] for line in metrics.read_lines(first.folder / "metrics.jsonl")] == [0, 1]
    assert first.checkpoint.is_dir()


def no_room(*_):
    raise TrainingRefused("no room")


def no_disk(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("part", "name", "fails"),
    [
        (assembly.checkpoints, "check_room", no_room),
        (assembly.memory, "refuse_if_too_large", no_room),
        (assembly, "load_base", no_disk),
        (Job, "write", no_disk),
    ],
)
def test_a_training_that_never_begins_costs_the_one_before_nothing(place, undisturbed, monkeypatch, part, name, fails):
    """Other settings are tried and refused; with the old ones again not one update is made twice."""
    folder = f"tried {name}"
    shutil.copytree(undisturbed.folder, place.folder / folder)
    monkeypatch.setattr(launch, "_process", in_this_process)
    monkeypatch.setattr(FineTuner, "update", lambda *_: pytest.fail("an update was made again"))
    with monkeypatch.context() as patch:
        patch.setattr(part, name, fails)
        with pytest.raises((TrainingRefused, OSError), match=r"no room|No space"):
            run(place, folder, learning_rate=0.02)
    result = run(place, folder)
    assert (result.updates, result.digest) == (12, json.loads(undisturbed.record.read_text())["digest"])
    assert measured(Job.read(place.folder / folder / "job.json")) == measured(undisturbed)


def test_the_states_of_another_training_go_when_this_one_begins(place, undisturbed, monkeypatch):
    shutil.copytree(undisturbed.folder, place.folder / "other settings")
    monkeypatch.setattr(launch, "_process", in_this_process)
    result = run(place, "other settings", max_steps=2, save_every=1, evaluate_every=1)
    job = Job.read(result.folder / "job.json")
    assert result.updates == 2
    assert {made_by(state) for part in (job.best, job.checkpoints) for state in part.iterdir()} == {job.fingerprint}


def test_a_killed_process_is_explained_and_the_training_goes_on(place, undisturbed, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(launch, "command", lambda job: [sys.executable, victims.__file__, str(job.folder / "job.json")])
        with pytest.raises(TrainingFailed, match=r"SIGKILL.*memory.*resumes at update 3"):
            run(place, "killed")
    seen = []
    result = run(place, "killed", seen.append)
    assert [line["step"] for line in seen if "loss" in line] == list(range(1, 13))
    assert measured(Job.read(result.folder / "job.json")) == measured(undisturbed)


def test_two_processes_give_the_loss_of_one(place, finished):
    result = run(place, "two", processes=2, max_steps=5, batch_size=2)
    one = place.train("one", max_steps=5, batch_size=2)
    two = measured(Job.read(result.folder / "job.json"))
    assert len(two) == len(measured(one))
    for a, b in zip(measured(one), two, strict=True):
        assert a == pytest.approx(b, rel=2e-4)


def test_processes_that_do_not_find_each_other_do_not_train(place, tmp_path, monkeypatch):
    """accelerate's configuration of two machines with CPUs: it starts one process on each and joins none."""
    config = tmp_path / "accelerate.yaml"
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nuse_cpu: true\nmachine_rank: 0\n"
        "num_machines: 2\nnum_processes: 2\nmain_process_ip: 127.0.0.1\nmain_process_port: 1\n"
        "rdzv_backend: static\nsame_network: true\n"
    )
    monkeypatch.setenv(CONFIG, str(config))
    with pytest.raises(TrainingRefused, match=r"processes is 2, but this process is one of 1: check num_processes"):
        run(place, "apart", processes=2, max_steps=2, batch_size=2)


@pytest.mark.parametrize("processes", [1, 2])
def test_nothing_beside_the_recordings_is_imported(place, tmp_path, monkeypatch, processes: int):
    """The real command, given in a stranger's folder: nothing of its modules runs, in no rank."""
    stranger, trapped = tmp_path / "recordings", tmp_path / "trapped"
    stranger.mkdir()
    for name in ("transformers", "torch", "accelerate", "numpy", "yaml", "safetensors", "sitecustomize", "random"):
        (stranger / f"{name}.py").write_text(f"open({str(trapped)!r}, 'a').write(__name__)\nraise SystemExit(7)\n")
    monkeypatch.chdir(stranger)
    result = run(place, f"beside{processes}", processes=processes, max_steps=1, batch_size=2)
    assert result.updates == 1
    assert not trapped.exists()


# -------------------------------------------------------------------------------------------------------- every way out


def interrupt(line):
    if line["step"] == 1:
        raise KeyboardInterrupt


def test_an_interrupt_of_the_caller_ends_every_process(place, stand_in):
    with pytest.raises(KeyboardInterrupt):
        run(place, "interrupted", interrupt)
    assert wait_until(lambda: all(gone(pid) for pid in pids(place.folder / "interrupted")))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_death_of_the_caller_ends_every_process(place, number):
    folder = place.folder / f"orphan{number}"
    # A test run that was put into the background ignores SIGINT, Dagster makes SIGTERM alike, and children inherit it.
    caller = f"""
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from pathlib import Path
from parler_assets.recipe import Training
from parler_assets.tts.training import launch
launch.command = lambda job: [sys.executable, "-c", {STAND_IN!r}, str(job.folder / "job.json")]
settings = Training.model_validate({settings().model_dump(mode="json")!r})
launch.run_training(Path({str(place.set)!r}), Path({str(place.base)!r}), Path({str(folder)!r}), settings)
"""
    process = subprocess.Popen([sys.executable, "-c", caller])
    assert wait_until(lambda: (folder / "pids").is_file() and len((folder / "pids").read_text().split()) == 2, 60)
    process.send_signal(number)
    process.wait()
    assert wait_until(lambda: all(gone(pid) for pid in pids(folder)))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descendants(pid: int) -> list[int]:
    """Living processes that come from `pid`, children first."""
    found = [pid]
    everybody = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    parents = {}
    for other in everybody:
        with suppress(OSError):
            parents[other] = parent(other)
    for place in found:
        found += [child for child, of in parents.items() if of == place and not gone(child)]
    return found[1:]


def session_of(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return None


def test_ranks_end_with_the_group_that_started_them(place):
    """Two real ranks, each in a session of its own, where no signal to the launcher's group reaches it."""
    job = place.job("ranks", settings(processes=2, batch_size=2, epochs=10_000, evaluate_every=10_000))
    with (job.folder / "training.log").open("w") as log:
        launcher = subprocess.Popen(
            launch.command(job), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    ranks: list[int] = []
    try:
        assert wait_until(lambda: len(metrics.read_lines(job.metrics)) > 2, 120), (
            job.folder / "training.log"
        ).read_text()
        ranks = [pid for pid in descendants(launcher.pid) if session_of(pid) == pid]
        assert len(ranks) == 2
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        assert wait_until(lambda: all(gone(pid) for pid in ranks))
    finally:
        for pid in (launcher.pid, *ranks):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        launcher.wait()


def test_a_rank_whose_agent_ended_before_it_began_ends_too(place):
    job = place.job("late", settings(processes=2, batch_size=2))
    launcher = subprocess.Popen([sys.executable, "-c", ""])
    launcher.wait()
    rank = [sys.executable, "-m", WORKER, str(job.folder / "job.json")]
    ended = subprocess.run(rank, env=os.environ | {"LOCAL_RANK": "0", LAUNCHER: str(launcher.pid)}, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert not job.metrics.exists()


def test_a_damaged_state_is_put_aside_before_a_process_starts(place, stand_in, caplog):
    job = place.job("damaged", settings())
    for step in (3, 6):
        state = step_folder(job.checkpoints, step)
        state.mkdir(parents=True)
        (state / "weights.safetensors").write_bytes(b"weights")
        seal(state)
        metrics.append(job.metrics, {"step": step})
    (state / "weights.safetensors").write_bytes(b"weight5")
    with pytest.raises(KeyboardInterrupt):
        run(place, "damaged", interrupt)
    assert "damaged-step-00000006; that of update 3 is used" in caplog.text
    assert [line["step"] for line in metrics.read_lines(job.metrics)] == [3, 0, 1]


@pytest.mark.parametrize("kind", ["weights", "config"])
def test_a_base_that_is_replaced_after_the_start_is_not_trained_on(place, kind):
    job = place.job(f"replaced-{kind}", settings())
    other = dataclasses.replace(job, base=place.folder / f"other-{kind}")
    write_base(other.base, **({"seed": 5} if kind == "weights" else {"rope": False}))
    with pytest.raises(TrainingRefused, match="was replaced while it was trained on"):
        train(other)


def test_metrics_that_cannot_be_reported_do_not_end_training(place, stand_in):
    seen = []

    def report(line):
        seen.append(line)
        if line["step"] == 0:
            raise ConnectionError("the tracking server is gone")
        interrupt(line)

    with pytest.raises(KeyboardInterrupt):
        run(place, "untracked", report)
    assert [line["step"] for line in seen] == [0, 1]


def test_a_process_that_fails_leaves_the_end_of_its_log(place, monkeypatch):
    code = "import sys; print('there was no GPU'); sys.exit(3)"
    monkeypatch.setattr(launch, "command", lambda job: [sys.executable, "-c", code])
    with pytest.raises(TrainingFailed, match=r"(?s)code 3.*no checkpoint.*there was no GPU"):
        run(place, "failing")


TORCHRUN = """
Other Failures:
[0]:
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 31510)  (SIGTERM)
Root Cause (first observed failure):
[0]:
  time      : 2026-11-30_07:35:47
  rank      : 1 (local_rank: 1)
  exitcode  : {0}
"""


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("-9 (pid: 31511)  (SIGKILL)", "was ended by SIGKILL (often: the machine ran out of memory) in its process 1"),
        ("-7 (pid: 31511)  (SIGBUS)", "was ended by SIGBUS in its process 1"),
    ],
)
def test_the_process_of_several_that_was_killed_is_named(cause: str, said: str):
    assert launch.ended_how(1, TORCHRUN.format(cause)) == said


@pytest.mark.parametrize(("code", "said"), [(3, "ended with code 3"), (-11, "was ended by SIGSEGV")])
def test_one_process_says_how_it_ended(code: int, said: str):
    assert launch.ended_how(code, "update 4 of 60") == said


def test_a_refusal_inside_the_process_is_raised_as_one(place, monkeypatch):
    code = (
        "import sys; open(sys.argv[1] + '/failure.txt', 'w').write('TrainingRefused: too little memory'); sys.exit(2)"
    )
    monkeypatch.setattr(launch, "command", lambda job: [sys.executable, "-c", code, str(job.folder)])
    with pytest.raises(TrainingRefused, match="too little memory"):
        run(place, "refusing")


def test_an_unfit_training_set_is_refused_before_any_process(tmp_path, monkeypatch):
    other = Place(tmp_path)
    file = next(other.set.glob("codes-train-*.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr(launch, "command", lambda job: pytest.fail("a process was started"))
    with pytest.raises(TrainingRefused, match=r"corrupt_codes.*materialize"):
        run(other, "refused")
