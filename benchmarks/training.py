"""Fine-tuning beside parler-tts 0.2.3: the same weights, the same clips, one CPU thread, by CPU seconds.

    benchmarks/reference_env.sh FOLDER
    python benchmarks/training.py --reference FOLDER/bin/python

An update is 16 clips of 2 to 15 s, log-normal around 6 s. The reference pads them to one batch; this project trains on
the very same clips, cut as `Plan` cuts them. `sorted` gives the reference the same clips in batches of similar length
instead (its group_by_length over all of them), the best it can do. Before anything is timed both sides must compute the
same. Runs alternate; the least CPU time of each counts. Without --reference only this project is measured. --levers
takes every lever of `training_levers.py` away in turn, beside the floor: the updates' arithmetic at the speed of this
core's fastest product. `training_gpu.py` does the same on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from training_levers import EVERYTHING, LEVERS, MEMORY

CODEBOOKS, SIZE, BATCH, UPDATES = 9, 1024, 16, 2
FRAMES_A_SECOND = 44100 / 512
SHAPE = {
    "width": 256, "rope": False, "num_hidden_layers": 6, "ffn_dim": 1024, "max_position_embeddings": 2048,
    "text_width": 192, "vocab_size": 1088, "use_fused_lm_heads": False, "ratios": (2, 4, 8, 8),
    "sampling_rate": 44100, "dropout": 0.1,
}  # fmt: skip
STEPS = ("eager-checkpointing", "sdpa")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="python of the environment with parler-tts")
    parser.add_argument("--rounds", type=int, default=2, help="how often every side runs; the least time counts")
    parser.add_argument("--levers", action="store_true", help="only this project, every lever off in turn")
    parser.add_argument("--own", nargs=3, metavar=("FOLDER", "WHAT", "WITHOUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        folder, what, without = given.own
        with LEVERS[without].replace():
            print(json.dumps(OWN[what](Path(folder), LEVERS[without].changes)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.levers:
            measure_levers(Path(folder), given.rounds)
        else:
            measure(Path(folder), given.reference, given.rounds)


def measure(folder: Path, reference: str | None, rounds: int) -> None:
    prepare(folder)
    frames = json.loads((folder / "frames.json").read_text())
    sides = [("this project", lambda: own(folder, "steps"))]
    if reference:
        compare_losses(folder, reference)
        for variant in STEPS:
            sides.append((variant, lambda v=variant: other(reference, folder, v)))
        sides.append(("sdpa, sorted", lambda: other(reference, folder / "sorted", "sdpa")))
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, run in sides:
            seconds = sum(run()["cpu_seconds"])
            least[name] = min(least.get(name, float("inf")), seconds)
    print(f"\n| one update of {BATCH} clips | real frames per CPU second | times |\n| --- | --- | --- |")
    for name, seconds in least.items():
        print(f"| {name} | {sum(frames) / seconds:.0f} | {seconds / least['this project']:.2f} |")
    data = {"this project": own(folder, "data")["clips_per_second"]}
    if reference:
        data["parler-tts"] = other(reference, folder, "data")["clips_per_second"]
    print("\n| read and collate | clips per CPU second |\n| --- | --- |")
    for name, speed in data.items():
        print(f"| {name} | {speed:.0f} |")


def measure_levers(folder: Path, rounds: int) -> None:
    prepare(folder)
    frames = sum(json.loads((folder / "frames.json").read_text()))
    least: dict[str, float] = {}
    for _ in range(rounds):
        for lever in LEVERS:
            seconds = sum(own(folder, "steps", lever)["cpu_seconds"])
            least[lever] = min(least.get(lever, float("inf")), seconds)
    floor = own(folder, "floor")["cpu_seconds"]
    print("\n| without | CPU s | real frames per CPU second | times as long |\n| --- | --- | --- | --- |")
    for lever, seconds in least.items():
        print(f"| {lever} | {seconds:.2f} | {frames / seconds:.0f} | {seconds / least[EVERYTHING]:.2f} |")
    print(f"| floor: its arithmetic alone | {floor:.2f} | {frames / floor:.0f} | {floor / least[EVERYTHING]:.2f} |")


def compare_losses(folder: Path, reference: str) -> None:
    """Equal maths first, dropout off: one padded batch on both sides, then clips one by one against clips as cut."""
    mine, theirs = own(folder, "equal"), other(reference, folder, "equal")
    for how, mean in (("one padded batch", "padded"), ("its clips alone, ours as cut", "alone")):
        a, b = mine[mean], theirs[mean]
        loss = max(abs(x - y) / y for x, y in zip(a["loss"], b["loss"], strict=True))
        largest = max(b["gradients"].values())
        shared = a["gradients"].keys() & b["gradients"].keys()
        odd = max(abs(a["gradients"][name] - b["gradients"][name]) for name in shared) / largest
        print(
            f"equal maths, {how}: a codebook's loss differs by {loss:.1e} of it, the norm of a weight's gradient by "
            f"{odd:.1e} of the largest ({len(shared)} of {len(b['gradients'])} weights)"
        )


def own(folder: Path, what: str, without: str = EVERYTHING) -> dict:
    """This project's side, with the environment that its launcher gives a training."""
    from parler_assets.tts.training.launch import KEEP_MEMORY

    environment = {} if without == MEMORY else KEEP_MEMORY
    return run([sys.executable, __file__, "--own", str(folder), what, without], environment)


def other(python: str, folder: Path, what: str) -> dict:
    # -P: the folder of this script has a `training` of its own
    return run([python, "-P", str(Path(__file__).with_name("training_reference.py")), str(folder), what])


def run(command: list[str], more: dict[str, str] | None = None, hidden: bool = True) -> dict:
    """The JSON line that a command ends with; `hidden` gives it one thread and no GPU."""
    alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} if hidden else {}
    environment = os.environ | (more or {}) | alone
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


# --------------------------------------------------------------------------------------------------------------- inputs


def settings(changes: dict | None = None):
    from parler_assets.recipe import Training

    plain = {
        "batch_size": BATCH, "effective_batch_size": BATCH, "max_steps": UPDATES + 1, "min_seconds": 1,
        "precision": "float32", "evaluate_every": 10**6, "save_every": 10**6, "log_every": 10**6,
    }  # fmt: skip
    return Training(**plain | (changes or {}))


def prepare(folder: Path) -> None:
    """A base of 11 M trained weights, a training set, and the same clips for the reference."""
    from parler_assets.tts.data import TRAIN, open_split
    from parler_assets.tts.training.batches import lengths_of
    from parler_assets.tts.training.plan import Plan

    base, built = inputs(folder, SHAPE, BATCH * UPDATES + 8, settings())
    split = open_split(built, TRAIN)
    plan = Plan(lengths_of(split, CODEBOOKS), split.weights, settings())
    updates = [plan[index].rows for index in range(UPDATES)]
    by_length = sorted((row for update in updates for row in update), key=lambda row: split.frames[row])
    write_reference(folder, split, updates)
    (folder / "sorted").mkdir()
    (folder / "sorted" / "base").symlink_to(base)
    write_reference(folder / "sorted", split, [by_length[i : i + BATCH] for i in range(0, len(by_length), BATCH)])
    (folder / "frames.json").write_text(json.dumps([int(split.frames[row]) for row in by_length]))


def inputs(folder: Path, shape: dict, count: int, chosen) -> tuple[Path, Path]:
    """A base with random weights, and a training set of clips with random codes: 2 to 15 s, log-normal around 6 s."""
    from parler_assets.tts.data import build_training_set
    from tests.support.lanes import write_lane
    from tests.support.tiny_checkpoint import write_tiny_checkpoint

    base = write_tiny_checkpoint(folder / "base", codebooks=CODEBOOKS, codebook_size=SIZE, **shape)
    generator = np.random.default_rng(0)
    seconds = np.exp(generator.normal(np.log(6), 0.5, max(400, 2 * count)))
    seconds = seconds[(seconds > 2) & (seconds < 15)][:count]
    rows = [
        {
            "id": f"clip-{i:03d}",
            "text": " ".join(generator.choice(["the", "rain", "falls", "slowly", "on", "glass"], int(2.5 * s)))
            + f" {i}",
            "speaker": "Jerry",
            "style": "happy",
            "duration": float(s),
            "frames": int(s * FRAMES_A_SECOND),
            "description": f"Jerry speaks in a {'happy' if i % 2 else 'sad'} voice, clearly and slowly, no. {i % 30}",
        }
        for i, s in enumerate(seconds)
    ]
    lane = write_lane(folder, rows, codebooks=CODEBOOKS, codebook_size=SIZE, held_out=0.05)
    return base, build_training_set([lane], base, folder / "set", chosen).folder


def write_reference(folder: Path, split, updates: list[list[int]]) -> None:
    everything = range(len(split))
    parts = {
        "codes": [split.clip(row) for row in everything],
        "prompts": split.prompts,
        "descriptions": split.descriptions,
    }
    arrays = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    lengths = {f"{name}_lengths": [len(piece) for piece in pieces] for name, pieces in parts.items()}
    np.savez(folder / "clips.npz", **arrays, **lengths)
    (folder / "updates.json").write_text(json.dumps(updates))


# ------------------------------------------------------------------------------------------------------------- own side


def assembled(folder: Path, changes: dict | None = None):
    import torch

    from parler_assets.tts.training.assembly import assemble
    from parler_assets.tts.training.job import Job

    torch.set_num_threads(1)
    job = Job.create(folder / "set", folder / "base", folder / "run", settings(changes), "cpu")
    job.folder.mkdir(exist_ok=True)
    return assemble(job)


def time_steps(folder: Path, changes: dict) -> dict:
    """CPU seconds of updates of a real training: reading, forward, backward, clipping, optimiser."""
    trainer, ends = assembled(folder, changes), [time.process_time()]
    for index in range(UPDATES):
        trainer.update(trainer.updates[index])
        ends.append(time.process_time())
    return {"cpu_seconds": np.diff(ends).tolist()}


def floor(folder: Path, _changes: dict) -> dict:
    """CPU seconds of the updates' arithmetic at the speed of this core's fastest large product."""
    import torch

    trainer, seconds, size = assembled(folder), [], 1024
    a = torch.ones(size, size)
    for _ in range(20):
        started = time.process_time()
        torch.mm(a, a)
        seconds.append(time.process_time() - started)
    flops = sum(trainer.updates[index]["flops"] for index in range(UPDATES))
    return {"cpu_seconds": flops / (2 * size**3 / min(seconds))}


def losses(folder: Path, _changes: dict) -> dict:
    """Losses and gradients without dropout: one padded batch as the reference has it, and clips cut as in training."""
    from torch.nn.functional import pad

    trainer = assembled(folder)
    batch = trainer.updates.reader(tuple(json.loads((folder / "updates.json").read_text())[0]))
    odd = batch["prompt_input_ids"].shape[1] % 2  # the reference pads prompts to an even length
    whole = batch | {name: pad(batch[name], (odd, 0)) for name in ("prompt_input_ids", "prompt_attention_mask")}
    return {
        "padded": gradients(trainer, [whole], count_padding=True),
        "alone": gradients(trainer, trainer.updates[0]["batches"]),
    }


def gradients(trainer, batches: list[dict], **options) -> dict:
    model = trainer.network.eval()
    model.zero_grad()
    summed = sum(trainer.losses(model, batch, **options) for batch in batches)
    summed.mean().backward()
    norms = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    return {"loss": summed.tolist(), "gradients": norms}


def time_data(folder: Path, _changes: dict) -> dict:
    """The reference's batches, clip for clip, so that both build the same tensors."""
    updates, read = json.loads((folder / "updates.json").read_text()), assembled(folder).updates.reader
    started, count = time.process_time(), 0
    for _ in range(100):
        for rows in updates:
            read(rows)
            count += len(rows)
    return {"clips_per_second": count / (time.process_time() - started)}


OWN = {"steps": time_steps, "floor": floor, "equal": losses, "data": time_data}

if __name__ == "__main__":
    main()
