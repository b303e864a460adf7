"""Folders of models that a library loads: their files, and the sizes they state, before the library sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parler_assets.intake import Refusal
from parler_assets.intake.files import DOCUMENT, MIB, read_text
from parler_assets.intake.json_documents import read_json
from parler_assets.intake.sizes import Shapes, refuse_parts
from parler_assets.intake.weights import tensor_shapes
from parler_assets.recipe.places import is_folder

FETCHED = ("*.json", "model*.safetensors", "*.txt", "*.jinja", "*.model")
TIED, PACKED = 2, 16  # times the numbers in a file that a model may have, as it shares some or has them quantised
SLACK = 1 << 22  # numbers beyond them, such as tables that are computed
_SOUND = {"feature_size": (1, 1024), "n_fft": (1, 8192), "hop_length": (1, 8192), "sampling_rate": (4_000, 48_000),
          "chunk_length": (1, 120)}  # fmt: skip
_LARGE = {"tokenizer.json": 64 * MIB, "vocab.json": 64 * MIB, "model.safetensors.index.json": 4 * DOCUMENT}


def checked_folder(model: str, revision: str | None) -> Path:
    """The folder of a model of this machine or of the Hub, whose files can be read and fit each other.

    Raises:
        Refusal: a file is none that is read, or states sizes that the weights do not have.
        OSError: the model cannot be fetched, or has no configuration.
    """
    folder = Path(model)
    if not is_folder(model):
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(model, revision=revision, allow_patterns=list(FETCHED)))
    config = read_json(folder / "config.json")
    for file in sorted(folder.iterdir()):
        if file.suffix == ".json":
            content = read_json(file, _LARGE.get(file.name, DOCUMENT))
            if "processor" in file.name:
                _refuse_sound(content, file)
        elif file.suffix in (".txt", ".jinja"):
            read_text(file, 64 * MIB)
    try:
        refuse_parts(config, shapes_of(folder))
    except Refusal as error:
        raise error if str(folder) in str(error) else Refusal(str(error), folder / "config.json") from None
    return folder


def _refuse_sound(content: dict[str, Any], file: Path) -> None:
    """Sizes of tables that a feature extractor computes: filters, windows and the longest sound."""
    parts = [content, *(part for part in content.values() if isinstance(part, dict))]
    for part in parts:
        for name, (least, most) in _SOUND.items():
            said = part.get(name, least)
            if not isinstance(said, int) or not least <= said <= most:
                raise Refusal(f"{name} is {said!r:.40}, no whole number from {least} to {most}", file)


def shapes_of(folder: Path) -> Shapes:
    """Name to shape of every tensor in a folder's weights."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise Refusal("no weights that are read, safetensors only: choose a model that has them", folder)
    return {name: shape for file in files for name, shape in tensor_shapes(file).items()}


def whole(loaded: tuple[Any, dict[str, Any]], folder: Path) -> Any:
    """A model that was loaded with `output_loading_info=True`; a part that no weights fill would be made at random.

    Raises:
        Refusal: the weights lack some of its parts.
    """
    model, facts = loaded
    if missing := sorted(facts["missing_keys"]):
        raise Refusal(f"its weights lack {len(missing)} of the model's, such as {missing[0]}: fetch it again", folder)
    return model


def refuse_larger(model_class: Any, folder: Path) -> None:
    """A model that would have more numbers than its weights: it is made without any, and counted.

    Args:
        model_class: of transformers, such as `AutoModelForCausalLM`.

    Raises:
        Refusal: naming the numbers of both.
        OSError, ValueError: transformers makes no model of this configuration.
    """
    import math

    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    with torch.device("meta"):
        make = getattr(model_class, "from_config", None) or model_class
        model = make(config)
    said = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    there = sum(math.prod(shape) for shape in shapes_of(folder).values())
    if said > there * (PACKED if getattr(config, "quantization_config", None) else TIED) + SLACK:
        told = f"states a model of {said:,} numbers, the weights have {there:,}: they do not belong together"
        raise Refusal(told, folder / "config.json")
