"""The two tokenizers of a checkpoint: one for transcripts, one for descriptions; often they are the same."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

import parler_assets.tts.model.config  # noqa: F401  tells transformers the configuration's type
from parler_assets.hub.revisions import RevisionError, settled_commit
from parler_assets.intake.json_documents import read_json
from parler_assets.intake.names import shown
from parler_assets.intake.remote_code import first_line

_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "spiece.model",
    "tokenizer.model", "vocab.json", "merges.txt",
)  # fmt: skip
_PUBLISHED = re.compile(r"google/flan-t5-(small|base|large|xl|xxl)")  # the text encoders of published checkpoints
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
    tokenizer if it fits the text encoder, else the tokenizer of the published text encoder that is named.

    Raises:
        TokenizerError: there is none, or it has more ids than its embedding.
    """
    folder = Path(checkpoint)
    config = read_json(folder / "config.json")
    prompt = _load(folder, folder, "left")
    encoder = config["text_encoder"]
    if (folder / DESCRIPTION).is_dir():
        description = _load(folder / DESCRIPTION, folder, "right")
    elif config.get("vocab_size") == encoder["vocab_size"]:
        description = _load(folder, folder, "right")
    else:
        description = _published(encoder, folder)
    _check(prompt, config.get("vocab_size"), folder, "prompt")
    _check(description, encoder["vocab_size"], folder, "description")
    return Tokenizers(prompt, description)


def keep_named_tokenizer(folder: Path) -> None:
    """Put the tokenizer that a checkpoint only names into its folder: from then on it is this one, wherever main goes.

    Raises:
        TokenizerError: it cannot be fetched.
    """
    config = read_json(folder / "config.json")
    encoder, kept = config["text_encoder"], folder / DESCRIPTION
    if kept.is_dir() or config.get("vocab_size") == encoder["vocab_size"]:
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tokenizer-") as place:
        _published(encoder, folder).save_pretrained(new := Path(place, DESCRIPTION))
        new.rename(kept)


def _published(encoder: dict, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a published text encoder at a commit: a checkpoint names no other place and no folder."""
    repo = str(encoder.get("_name_or_path") or "google/flan-t5-large")
    remedy = f"copy the tokenizer of its text encoder into {folder / DESCRIPTION}"
    if not _PUBLISHED.fullmatch(repo):
        raise TokenizerError(f"{folder}: its descriptions need the tokenizer of {shown(repo)[:80]!r}, a place that is "
                             f"never read for a checkpoint; {remedy}")  # fmt: skip
    try:
        commit = settled_commit(repo, "main", kind="model")
    except RevisionError as error:
        raise TokenizerError(f"{folder}: {error}; or {remedy}") from None
    return _load(repo, folder, "right", commit)


def _load(source: Path | str, folder: Path, side: str, commit: str = "main") -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(source, revision=commit, padding_side=side, trust_remote_code=False)
    except Exception as error:  # whatever the libraries make of files that they did not write
        raise TokenizerError(
            f"{folder}: no tokenizer in {source} ({first_line(error)}); copy it from the model's repository"
        ) from None


def _check(tokenizer: PreTrainedTokenizerBase, rows: int | None, folder: Path, which: str) -> None:
    if rows is not None and max(tokenizer.get_vocab().values()) >= rows:
        raise TokenizerError(f"{folder}: the {which} tokenizer has ids beyond the {rows} rows of its embedding")
