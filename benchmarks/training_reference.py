"""The reference's side of `training.py`, run in an environment of its own that has parler-tts 0.2.3.

    python benchmarks/training_reference.py FOLDER VARIANT

FOLDER holds `base/` (a checkpoint), `clips.npz` (plain arrays) and `updates.json` (rows of every update). VARIANT is a
step (eager-checkpointing, eager, sdpa), `equal` (losses without dropout) or `data` (reading and collating). One JSON
line comes out. The step is what its training script does with one batch: text encoder, forward, loss summed over
targets, backward, clipping, AdamW; its collator is the package's own.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from parler_tts import ParlerTTSForConditionalGeneration
from training.data import DataCollatorParlerTTSWithPadding
from transformers import PreTrainedTokenizerFast


def clips(folder: Path) -> list[dict]:
    """Rows as its pipeline stores them: labels as nested lists (K, T + K), token ids as lists."""
    arrays = np.load(folder / "clips.npz", allow_pickle=False)
    names = ("codes", "prompts", "descriptions")
    ends = {name: np.cumsum(arrays[f"{name}_lengths"])[:-1] for name in names}
    parts = zip(*(np.split(arrays[name], ends[name]) for name in names), strict=True)
    return [
        {"labels": labels(codes).tolist(), "prompt_input_ids": prompt.tolist(), "input_ids": description.tolist()}
        for codes, prompt, description in parts
    ]


def labels(codes: np.ndarray) -> np.ndarray:
    """(K, T + K): k starts, the codes of codebook k, ends."""
    _, K = codes.shape
    rows = [np.concatenate([[1025] * k, codes[:, k], [1024] * (K - k)]) for k in range(K)]
    return np.stack(rows).astype(np.int16)


def load(folder: Path, variant: str):
    attention = "sdpa" if variant == "sdpa" else "eager"
    model = ParlerTTSForConditionalGeneration.from_pretrained(
        folder / "base", attn_implementation={"decoder": attention, "text_encoder": "eager"}
    )
    model.freeze_encoders(True)
    model.train()
    if variant == "eager-checkpointing":
        model.gradient_checkpointing_enable()
    return model


def collator(folder: Path) -> DataCollatorParlerTTSWithPadding:
    file = str(folder / "base" / "tokenizer.json")
    prompt, description = (
        PreTrainedTokenizerFast(tokenizer_file=file, pad_token="<pad>", padding_side=side) for side in ("left", "right")
    )
    return DataCollatorParlerTTSWithPadding(prompt, description, pad_to_multiple_of=2)


def step(model, batch, optimizer) -> None:
    places = int((batch["labels"] != -100).sum())
    loss = model(**batch, loss_reduction="sum").loss / places
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def time_steps(folder: Path, variant: str) -> dict:
    rows, collate, model = clips(folder), collator(folder), load(folder, variant)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.99), weight_decay=0.01)
    seconds = []
    for chosen in json.loads((folder / "updates.json").read_text()):
        started = time.process_time()
        step(model, collate([rows[row] for row in chosen]), optimizer)
        seconds.append(time.process_time() - started)
    return {"cpu_seconds": seconds}


def losses(folder: Path) -> dict:
    """Losses and gradients without dropout: one padded batch, and the same clips one by one without any padding."""
    rows, collate, model = clips(folder), collator(folder), load(folder, "eager").eval()
    chosen = [rows[row] for row in json.loads((folder / "updates.json").read_text())[0]]
    padded = gradients(model, [collate(chosen)])
    collate.pad_to_multiple_of = None
    return {"padded": padded, "alone": gradients(model, [collate([row]) for row in chosen])}


def gradients(model, batches: list[dict]) -> dict:
    model.zero_grad()
    summed = 0
    for batch in batches:
        output = model(**batch, loss_reduction="sum")
        output.loss.backward()
        summed = summed + torch.stack([loss.detach() for loss in output.per_codebook_losses])
    norms = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    return {"loss": summed.tolist(), "gradients": norms}


def time_data(folder: Path) -> dict:
    from datasets import Dataset

    stored = Dataset.from_list(clips(folder))
    stored.save_to_disk(folder / "reference_rows")
    stored, collate = Dataset.load_from_disk(folder / "reference_rows"), collator(folder)
    updates = json.loads((folder / "updates.json").read_text())
    started, count = time.process_time(), 0
    for _ in range(3):
        for chosen in updates:
            collate([stored[row] for row in chosen])
            count += len(chosen)
    return {"clips_per_second": count / (time.process_time() - started)}


def main() -> None:
    torch.set_num_threads(1)
    folder, variant = Path(sys.argv[1]), sys.argv[2]
    special = {"equal": losses, "data": time_data}
    print(json.dumps(special[variant](folder) if variant in special else time_steps(folder, variant)))


if __name__ == "__main__":
    main()
