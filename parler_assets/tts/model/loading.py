"""Checkpoints in the published layout: read in every naming, written so that the original loads them too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GenerationConfig

from parler_assets.intake import Refusal
from parler_assets.intake.files import DOCUMENT
from parler_assets.intake.json_documents import read_json
from parler_assets.intake.remote_code import first_line
from parler_assets.intake.weights import tensor_shapes
from parler_assets.speech.codec.dac import dac_state
from parler_assets.tts.model.config import LABELS, ParlerTTSConfig
from parler_assets.tts.model.placement import one_device, one_dtype
from parler_assets.tts.model.positions import sinusoidal_table
from parler_assets.tts.model.sizes import refuse_sizes
from parler_assets.tts.model.tokenizers import Tokenizers, copy_tokenizers

WEIGHTS, INDEX, CONFIG, GENERATION = (
    "model.safetensors", "model.safetensors.index.json", "config.json", "generation_config.json",
)  # fmt: skip
_CODEC, _TIED = "audio_encoder.", "text_encoder.encoder.embed_tokens.weight"
_TABLES = ("decoder.model.decoder.embed_positions.weights", "embed_positions.weights")
_FETCHED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt"]
_IGNORED = {"trust_remote_code", "attn_implementation", "low_cpu_mem_usage", "use_safetensors"}
_HUB = ("revision", "token", "cache_dir", "local_files_only")


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded; the message names the file and the remedy."""


def load(cls: type, source: str | Path, options: dict[str, Any]) -> Any:
    """A model of the class `cls` in evaluation mode; see its `from_pretrained`."""
    dtype = options.pop("dtype", None) or options.pop("torch_dtype", None) or torch.float32
    device = one_device(options.pop("device_map", None))
    config = options.pop("config", None)
    hub = {key: options.pop(key) for key in _HUB if key in options}
    if options.get("trust_remote_code"):
        raise CheckpointError("trust_remote_code: code that a checkpoint brings is never run; leave the option out")
    unknown = options.keys() - _IGNORED - {"torch_dtype"}
    if unknown:
        raise TypeError(f"from_pretrained() has no option {sorted(unknown)[0]!r}")
    folder = _local(source, hub)
    config = config or _matching_config(folder)
    model = _empty(cls, config, folder)
    tensors = fitting(model, _read(folder), folder)
    dtype = one_dtype(dtype, config, tensors["embed_prompts.weight"].dtype)
    model.load_state_dict({name: tensor.to(device, dtype) for name, tensor in tensors.items()}, assign=True)
    model.tie_weights()
    for part in _TABLES:
        if part in tensors:
            model.get_parameter(part).requires_grad_(False)
    if (folder / GENERATION).is_file():
        model.generation_config = _generation_config(folder)
    model.config.name_or_path = model.name_or_path = str(source)
    model.source = folder
    return model.eval()


def _empty(cls: type, config: ParlerTTSConfig, folder: Path) -> Any:
    """The model without memory for its weights."""
    try:
        with torch.device("meta"):
            return cls(config)
    except Exception as error:  # layers fail in their own ways at values that no field's check knows
        told = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"{folder / CONFIG}: no model can be made of it ({told}); fetch it again") from None


def _generation_config(folder: Path) -> GenerationConfig:
    file = folder / GENERATION
    try:
        read_json(file)  # bounded, which the library's own reader is not
        return GenerationConfig.from_pretrained(folder)
    except Exception as error:  # whatever the library makes of values that it did not write
        told = error.within if isinstance(error, Refusal) else first_line(error)
        raise CheckpointError(f"{file}: cannot be used ({told}); fetch it again, or remove it") from None


def _matching_config(folder: Path) -> ParlerTTSConfig:
    """The configuration, once the headers of the weights have the sizes that it states."""
    content = _content(folder)
    try:
        shapes = {name: shape for file in _files(folder) for name, shape in tensor_shapes(file).items()}
        refuse_sizes(content, shapes)
    except Refusal as error:
        place = "" if str(folder) in str(error) else f"{folder / CONFIG}: "
        raise CheckpointError(f"{place}{error}") from None
    return read_config(folder)


def read_config(folder: Path) -> ParlerTTSConfig:
    content = _content(folder)
    try:
        # names for labels would be made, as many as it says, before any weight is looked at
        kept = {key: value for key, value in content.items() if key not in ("model_type", *LABELS)}
        return ParlerTTSConfig(**kept)
    except Exception as error:  # transformers checks fields in its own ways
        raise CheckpointError(f"{folder / CONFIG}: {error}") from None


def _content(folder: Path) -> dict[str, Any]:
    try:
        content = read_json(folder / CONFIG)
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: no {CONFIG}, so this is no checkpoint folder") from None
    except Refusal as error:
        raise CheckpointError(f"{error}; fetch the checkpoint again") from None
    for part in ("text_encoder", "audio_encoder", "decoder"):
        if not isinstance(content.get(part), dict):
            raise CheckpointError(f"{folder / CONFIG}: a Parler-TTS configuration needs {part}, an object")
    return content


def save(model: Any, folder: Path, tokenizers: Tokenizers | None) -> None:
    """Write `model.safetensors`, configurations, the feature extractor and the tokenizers.

    These are `tokenizers` or, without, those of the folder that the model was loaded from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    del tensors[_TIED]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes it for its owner alone
    config = {**model.config.published(), "torch_dtype": str(model.dtype).removeprefix("torch.")}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    model.generation_config.save_pretrained(folder)
    extractor = {
        "feature_extractor_type": "DacFeatureExtractor",
        "feature_size": 1,
        "hop_length": model.config.audio_encoder.hop_length,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
        "sampling_rate": model.config.sampling_rate,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor, indent=2) + "\n", encoding="utf-8")
    if tokenizers is not None:
        tokenizers.save(folder)
    elif model.source is not None and model.source.resolve() != folder.resolve():
        copy_tokenizers(model.source, folder)


def _local(source: str | Path, hub: dict[str, Any]) -> Path:
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(str(source), allow_patterns=_FETCHED, **hub))


def _files(folder: Path) -> list[Path]:
    """The files of weights, all of them in the folder."""
    if (folder / INDEX).is_file():
        named = read_json(folder / INDEX, 4 * DOCUMENT).get("weight_map")
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise CheckpointError(f"{folder / INDEX}: names no files; fetch the checkpoint again")
        files = [folder / Path(name).name for name in sorted(set(named.values()))]
    else:
        files = [folder / WEIGHTS]
    missing = [file for file in files if not file.is_file()]
    if missing:
        pickled = next(folder.glob("*.bin"), None)
        remedy = f"{pickled.name} is pickled and never loaded: convert it" if pickled else "fetch the checkpoint again"
        raise CheckpointError(f"{missing[0]}: missing; {remedy}")
    return files


def _read(folder: Path) -> dict[str, Tensor]:
    """All tensors under their published names, the codec's under DacModel's."""
    tensors: dict[str, Tensor] = {}
    for file in _files(folder):
        try:
            tensors |= load_file(file)
        except SafetensorError as error:
            raise CheckpointError(f"{file}: not safetensors or cut off ({error}); fetch it again") from None
    try:
        return published_names(tensors)
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}") from None


def published_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as files have them with the codec's under DacModel's names."""
    codec = {name.removeprefix(_CODEC): tensor for name, tensor in tensors.items() if name.startswith(_CODEC)}
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith(_CODEC)}
    return others | {f"{_CODEC}{name}": tensor for name, tensor in dac_state(codec).items()}


def fitting(model: torch.nn.Module, tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The tensors after a check against the model: none missing, none too many, every shape right.

    Tables of positions are computed when a file leaves them out; the tied copy in the text encoder always is.
    """
    wanted = model.state_dict()
    absent = [name for name in _TABLES if name in wanted and name not in tensors]
    if "text_encoder.shared.weight" in tensors:
        tensors[_TIED] = tensors["text_encoder.shared.weight"]
    tensors = _heads_as(wanted, tensors)
    for names, problem in (
        (wanted.keys() - tensors.keys() - {*absent}, "lacks"),
        (tensors.keys() - wanted.keys(), "also has"),
    ):
        if names:
            some = ", ".join(sorted(names)[:3])
            raise CheckpointError(
                f"{folder}: {problem} {len(names)} weights ({some}): its config.json and weights do not belong together"
            )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{folder}: {name} has shape {tuple(tensor.shape)}, config.json says {tuple(wanted[name].shape)}"
            )
    # last: by now the width that the configuration states is that of the weights
    return tensors | {name: sinusoidal_table(*wanted[name].shape) for name in absent}


def _heads_as(wanted: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Heads fused or separate as the configuration says, whichever way the file has them."""
    fused = "decoder.lm_heads.weight"
    apart = [name for name in tensors if name.startswith("decoder.lm_heads.") and name != fused]
    apart.sort(key=lambda name: int(name.split(".")[2]))
    if fused in wanted and apart:
        tensors[fused] = torch.cat([tensors.pop(name) for name in apart])
    elif fused in tensors and fused not in wanted:
        count = sum(name.startswith("decoder.lm_heads.") for name in wanted)
        for k, head in enumerate(tensors.pop(fused).chunk(count)):
            tensors[f"decoder.lm_heads.{k}.weight"] = head
    return tensors
