"""The reference's side of `generation.py`, `codec.py` and `round_trip.py`, in an environment that has parler-tts 0.2.3.

    python benchmarks/parler_reference.py {generate,record,decode} FOLDER ...

Prints one JSON line: CPU seconds by task, or nothing where tensors are written instead.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from parler_tts import ParlerTTSForConditionalGeneration
from safetensors.torch import load_file, save_file


def load(folder: Path, attention: str = "eager", precision: str = "float32"):
    chosen = {"decoder": attention, "text_encoder": "eager"}
    return ParlerTTSForConditionalGeneration.from_pretrained(
        folder, attn_implementation=chosen, torch_dtype=getattr(torch, precision)
    ).eval()


def generate(folder: Path, attention: str, precision: str = "float32") -> dict:
    """CPU seconds of `generate` for every case of cases.json, each with its inputs in inputs.safetensors."""
    model, inputs, seconds = load(folder / "base", attention, precision), load_file(folder / "inputs.safetensors"), {}
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        batch = {key: value[: case["batch"]] for key, value in inputs.items()}
        model.generate(**batch, **case["options"] | {"max_length": 20, "min_new_tokens": 20})  # warm
        started = time.process_time()
        model.generate(**batch, **case["options"])
        seconds[name] = time.process_time() - started
    return seconds


def record(folder: Path) -> None:
    """Everything that round_trip.py compares, into recorded.safetensors; and the model as the original saves it."""
    model, inputs = load(folder / "base"), load_file(folder / "inputs.safetensors")
    labels, wave = inputs.pop("labels"), inputs.pop("wave")
    output = model(**inputs, labels=labels)
    output.loss.backward()
    said = model.generate(**inputs, do_sample=False, max_length=60, min_new_tokens=10)
    codes = model.audio_encoder.encode(wave).audio_codes
    B, L, K = labels.shape
    logits = output.logits.detach().view(B, K, *output.logits.shape[1:])[:, :, -L:]
    found = {
        "loss": output.loss.detach()[None],
        "loss per codebook": torch.stack(list(output.per_codebook_losses)).detach(),
        "logits": logits * (labels[:, :, 0] != -100)[:, None, :, None],
        "gradient": model.get_parameter("decoder.model.decoder.layers.0.encoder_attn.q_proj.weight").grad,
        "greedy speech": said,
        "codes": codes.float(),
        "decoded": model.audio_encoder.decode(audio_codes=codes).audio_values.detach(),
    }
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, folder / "recorded.safetensors")
    model.save_pretrained(folder / "saved")


def decode(folder: Path) -> dict:
    """CPU seconds for the samples of codes.safetensors, one by one as `generate` does once a sample has ended."""
    from parler_tts.dac_wrapper import DACConfig, DACModel

    codec = DACModel(DACConfig(**json.loads((folder / "codec" / "config.json").read_text()))).eval()
    weights = load_file(folder / "codec" / "model.safetensors")
    parts = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
    for old, new in parts.items():
        weights = {name.replace(old, new): tensor for name, tensor in weights.items()}
    names = codec.state_dict().keys()
    codec.load_state_dict(weights if weights.keys() == names else load_file(folder / "codec" / "model.safetensors"))
    given = load_file(folder / "codes.safetensors")
    with torch.no_grad():
        codec.decode(given["codes"][None, :1, :, :4], [None])  # warm
        started = time.process_time()
        for code, count in zip(given["codes"], given["frames"].tolist(), strict=True):
            codec.decode(code[None, None, :, :count], [None])
    return {"decode": time.process_time() - started}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    verb, folder, *rest = sys.argv[1:]
    print(json.dumps({"generate": generate, "record": record, "decode": decode}[verb](Path(folder), *rest) or {}))


if __name__ == "__main__":
    main()
