"""The two tokenizers of a checkpoint: one for transcripts, one for descriptions; often they are the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

import parler_assets.tts.model.config  # noqa: F401  tells transformers the configuration's type
from parler_assets.intake.remote_code import first_line

_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "spiece.model",
    "tokenizer.model", "vocab.json", "merges.txt",
)  # fmt: skip
DESCRIPTION = "description_tokenizer"  # folder of a checkpoint whose descriptions have their own tokenizer


class TokenizerError(ValueError):
    """A checkpoint whose texts cannot be tokenised; the message names the folder and the remedy."""


@dataclass(frozen=True)
class Tokenizers:
    """`prompt` for transcripts, padded on the left; `description` for descriptions, padded on the right."""

    prompt: PreTrainedTokenizerBase
    description: PreTrainedTokenizerBase

    def save(self, folder: Path) -> None:
        """Write the prompt tokenizer where published checkpoints have it, and the description's if it is another."""
        self.prompt.save_pretrained(folder)
        if self.description.get_vocab() != self.prompt.get_vocab():
            self.description.save_pretrained(folder / DESCRIPTION)


def copy_tokenizers(source: Path, folder: Path) -> None:
    """Copy the files of both tokenizers from one checkpoint to another, as they are."""
    for place in ("", DESCRIPTION):
        found = [file for name in _FILES if (file := source / place / name).is_file()]
        if found:
            (folder / place).mkdir(parents=True, exist_ok=True)
        for file in found:
            shutil.copyfile(file, folder / place / file.name)


def load_tokenizers(checkpoint: Path) -> Tokenizers:
    """The tokenizers of a checkpoint folder.

    The prompt tokenizer lies in the folder itself. Descriptions use the folder `description_tokenizer`, else the prompt
    tokenizer if it fits the text encoder, else the tokenizer of the text encoder's own repository.

    Raises:
        TokenizerError: there is none, or it has more ids than its embedding.
    """
    folder = Path(checkpoint)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    prompt = _load(folder, folder, "left")
    encoder = config["text_encoder"]
    if (folder / DESCRIPTION).is_dir():
        description = _load(folder / DESCRIPTION, folder, "right")
    elif config.get("vocab_size") == encoder["vocab_size"]:
        description = _load(folder, folder, "right")
    else:
        description = _load(encoder.get("_name_or_path") or "google/flan-t5-large", folder, "right")
    _check(prompt, config.get("vocab_size"), folder, "prompt")
    _check(description, encoder["vocab_size"], folder, "description")
    return Tokenizers(prompt, description)


def _load(source: Path | str, folder: Path, side: str) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(source, padding_side=side, trust_remote_code=False)
    except Exception as error:  # whatever the libraries make of files that they did not write
        raise TokenizerError(
            f"{folder}: no tokenizer in {source} ({first_line(error)}); copy it from the model's repository"
        ) from None


def _check(tokenizer: PreTrainedTokenizerBase, rows: int | None, folder: Path, which: str) -> None:
    if rows is not None and max(tokenizer.get_vocab().values()) >= rows:
        raise TokenizerError(f"{folder}: the {which} tokenizer has ids beyond the {rows} rows of its embedding")
