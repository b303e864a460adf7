"""DAC, the codec inside every Parler-TTS checkpoint: every published naming read into one implementation.

Published are descript's names with weight norm as `weight_g`/`weight_v` or as `parametrizations.weight.original0/1`,
either folded, and the names of transformers' DacModel. All become the folded weights of a DacModel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import DacConfig, DacModel

_NORM = {"weight_g": "g", "weight_v": "v"} | {f"parametrizations.weight.original{i}": "gv"[i] for i in (0, 1)}
_DERIVED = ("upsampling_ratios", "hidden_size", "hop_length", "model_type", "transformers_version", "architectures")


def codec_config(section: Mapping) -> DacConfig:
    """The DacConfig of a published `audio_encoder` section, whichever of the two layouts it has.

    `partial_frame` says what the checkpoint's own software does with samples after the last whole frame: descript's
    wrapper drops them, DacModel's feature extractor pads them to a frame.
    """
    kept = {key: value for key, value in section.items() if key not in _DERIVED and key != "frame_rate"}
    descript = "n_codebooks" not in kept and ("num_codebooks" in kept or "latent_dim" in kept)
    kept.setdefault("partial_frame", "drop" if descript else "pad")
    if descript:
        kept["n_codebooks"] = kept.pop("num_codebooks", 9)
        kept.setdefault("sampling_rate", 44100)
    return DacConfig(**{key: value for key, value in kept.items() if key not in ("latent_dim", "model_bitrate")})


def build_dac(config: DacConfig) -> DacModel:
    """A DacModel whose output is exactly `hop` samples a frame.

    transformers leaves out the output padding of odd upsampling ratios, which loses samples at the end of every clip.
    """
    network = DacModel(config)
    for module in network.decoder.modules():
        if isinstance(module, torch.nn.ConvTranspose1d):
            module.output_padding = (module.stride[0] % 2,)
    return network


def dac_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights named and shaped as DacModel's, from any published naming (without the prefix `audio_encoder.`)."""
    folded = fold_weight_norm({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    if any(re.match(r"(encoder\.block\.0|decoder\.model\.0)\.(bias|weight)$", name) for name in folded):
        ends = {part: _last(folded, part) for part in ("encoder.block", "decoder.model")}
        return {_renamed(name, ends): tensor for name, tensor in folded.items()}
    return folded


def fold_weight_norm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """weight = g v / ||v||, the norm over every axis but the first; other tensors as they are."""
    plain: dict[str, Tensor] = {}
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        ending = next((e for e in _NORM if name.endswith(f".{e}")), None)
        if ending:
            pairs.setdefault(name.removesuffix(ending), {})[_NORM[ending]] = tensor
        else:
            plain[name] = tensor
    for stem, pair in pairs.items():
        if pair.keys() != {"g", "v"}:
            raise ValueError(f"codec weight {stem}weight has only one half of its weight norm; fetch the file again")
        norm = pair["v"].flatten(1).norm(dim=1).view(-1, *[1] * (pair["v"].dim() - 1))
        plain[f"{stem}weight"] = pair["g"] * pair["v"] / norm
    return plain


def _last(names: Mapping[str, Tensor], part: str) -> int:
    return max(int(name.split(".")[2]) for name in names if name.startswith(part))


def _renamed(name: str, ends: dict[str, int]) -> str:
    """descript's name to DacModel's: its encoder and decoder are numbered lists of layers, of blocks, of units."""
    side, _, number, *rest = name.split(".")
    if side == "quantizer":
        return name
    last, place = ends["encoder.block" if side == "encoder" else "decoder.model"], int(number)
    if place in (0, last):
        return f"{side}.conv{1 if place == 0 else 2}.{rest[0]}"
    if place == last - 1:
        return f"{side}.snake1.{rest[0]}"
    return f"{side}.block.{place - 1}.{_in_block(side, rest)}"


def _in_block(side: str, rest: list[str]) -> str:
    """A block is three residual units, a snake and a strided convolution; the decoder's has the units last."""
    place, first_unit = int(rest[1]), 0 if side == "encoder" else 2
    if first_unit <= place < first_unit + 3:
        inner, kind = rest[3], rest[4]
        layer = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}[inner]
        return f"res_unit{place - first_unit + 1}.{layer}.{kind}"
    if rest[2] == "alpha":
        return "snake1.alpha"
    return f"{'conv1' if side == 'encoder' else 'conv_t1'}.{rest[2]}"


def reach(config: DacConfig) -> int:
    """Frames on either side that a decoded frame depends on, rounded up (10 for the published ratios 8, 8, 4, 2).

    Convolutions of width 7 reach 3 steps; residual units 3 (1 + 3 + 9) steps; a transposed convolution one step of its
    input. A step is a frame divided by the upsampling so far.
    """
    frames, scale = 3.0, 1
    for ratio in reversed(config.downsampling_ratios):
        frames += 1 / scale
        scale *= ratio
        frames += 39 / scale
    return math.ceil(frames + 3 / scale)


def encoder_reach(config: DacConfig) -> int:
    """Frames on either side that a frame's codes depend on, rounded up (9 for the published ratios 2, 4, 8, 8).

    As in `reach`, but a step is one sample at first, and a strided convolution reaches less than a step of its output.
    """
    samples, step = 3, 1
    for ratio in config.downsampling_ratios:
        samples += 39 * step
        step *= ratio
        samples += step
    return math.ceil((samples + step) / step)
