"""Checkpoints of this project in the hands of parler-tts 0.2.3, and back: the same numbers on both sides.

    benchmarks/reference_env.sh FOLDER
    python benchmarks/round_trip.py --reference FOLDER/bin/python

For tiny checkpoints of several layouts, saved by this project, the original loads them, computes logits, losses and a
gradient of a padded batch, speaks greedily, encodes and decodes sound, and saves the model. This project computes
the same from its own folder and from the original's, and the differences are printed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sides import run, table

VARIANTS = {
    "table, 9 heads": {"rope": False, "use_fused_lm_heads": False},
    "rotary, grouped, fused head, no projection": {
        "num_key_value_heads": 2, "num_cross_attention_key_value_heads": 1, "text_width": 64,
    },
    "prompt in cross-attention, weighted codebooks": {
        "rope": False, "use_fused_lm_heads": False, "prompt_cross_attention": True,
        "codebook_weights": [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
    },
    "rotary, grouped, prompt in cross-attention": {"num_key_value_heads": 2, "prompt_cross_attention": True},
}  # fmt: skip
GRADIENT = "decoder.model.decoder.layers.0.encoder_attn.q_proj.weight"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", required=True, help="python of the environment with parler-tts")
    given, rows = parser.parse_args(), {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, shape) in enumerate(VARIANTS.items()):
            place = Path(folder) / str(number)
            prepare(place, shape)
            run(given.reference, "parler_reference.py", "record", place)
            theirs = load_file(place / "recorded.safetensors")
            for label, source in (("ours", place / "base"), ("saved by the original", place / "saved")):
                ours = compute(source, load_file(place / "inputs.safetensors"))
                rows[f"{name}; {label}"] = [difference(ours[key], theirs[key]) for key in theirs]
    table("largest difference", list(theirs), rows)


def prepare(place: Path, shape: dict) -> None:
    from tests.support.tiny_checkpoint import write_tiny_checkpoint

    write_tiny_checkpoint(
        place / "base", codebooks=9, width=64, ratios=(2, 4, 8, 8), sampling_rate=44100, initializer_factor=0.2,
        vocab_size=33, **shape,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 32, (3, 9, 30), generator=generator)
    from parler_assets.tts.model.delay_pattern import DelayPattern

    labels = DelayPattern(9, start=33, end=32).labels(codes).transpose(1, 2).contiguous()
    labels[1, 25:], labels[2, 31:] = -100, -100
    inputs = {"labels": labels, "wave": torch.randn(1, 1, 512 * 12, generator=generator) / 5}
    for kind, lengths, left in (("input_ids", (12, 7, 3), False), ("prompt_input_ids", (4, 9, 6), True)):
        seen = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        mask = (seen.flip(1) if left else seen).long()
        inputs[kind] = torch.randint(3, 90, mask.shape, generator=generator) * mask
        inputs[kind.replace("input_ids", "attention_mask")] = mask
    save_file({name: tensor.contiguous() for name, tensor in inputs.items()}, place / "inputs.safetensors")


def compute(source: Path, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `record` of parler_reference.py computes, by this project."""
    from parler_assets.tts import ParlerTTSForConditionalGeneration

    model = ParlerTTSForConditionalGeneration.from_pretrained(source)
    labels, wave = inputs.pop("labels"), inputs.pop("wave")
    output = model(**inputs, labels=labels)
    output.loss.backward()
    said = model.generate(**inputs, do_sample=False, max_length=60, min_new_tokens=10)
    codes = model.audio_encoder.encode(wave).audio_codes
    return {
        "loss": output.loss.detach()[None],
        "loss per codebook": torch.stack(output.per_codebook_losses).detach(),
        "logits": real(output.logits.detach(), labels),
        "gradient": model.get_parameter(GRADIENT).grad,
        "greedy speech": said,
        "codes": codes.float(),
        "decoded": model.audio_encoder.decode(audio_codes=codes).audio_values.detach(),
    }


def real(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits (B * K, P + L, V) where there are labels (B, L, K): others mean nothing."""
    B, L, K = labels.shape
    kept = logits.view(B, K, *logits.shape[1:])[:, :, -L:]
    return kept * (labels[:, :, 0] != -100)[:, None, :, None]


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> str:
    """Relative to the largest number of the original's."""
    if ours.shape != theirs.shape:
        return f"shapes {tuple(ours.shape)} and {tuple(theirs.shape)}"
    return f"{float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12)):.1e}"


if __name__ == "__main__":
    main()
