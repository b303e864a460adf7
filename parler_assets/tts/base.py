"""The checkpoint that coding and fine-tuning start from: found, pinned to a commit, checked, digested."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parler_assets import storage
from parler_assets.hub.blobs import forget_damaged
from parler_assets.hub.revisions import RevisionError, settled_commit
from parler_assets.intake import Refusal
from parler_assets.intake.folders import Folders
from parler_assets.intake.json_documents import read_json
from parler_assets.recipe import Base
from parler_assets.storage import disk

DESCRIPTION = "description_tokenizer"  # folder of a checkpoint whose descriptions have their own tokenizer
PROVENANCE, MANIFEST = "provenance.json", "manifest.json"
SEALED = storage.Schema("checkpoint", ["files"])
_PARTS = ("text_encoder", "audio_encoder", "decoder")
_WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt", "README.md", "LICENSE*"]
_TOKENIZERS = ("tokenizer.json", "spiece.model", "tokenizer.model")


# What a checkpoint consists of; nothing else in its folder is copied or published.
_KNOWN = (
    "config.json", "generation_config.json", "preprocessor_config.json", "provenance.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "spiece.model", "tokenizer.model",
    "vocab.json", "merges.txt", "*.safetensors", "*.safetensors.index.json", "README.md", "LICENSE*", "LICENCE*",
    "NOTICE*", "USE_POLICY*",
)  # fmt: skip


class BaseError(ValueError):
    """A base checkpoint that cannot be used; the message names the folder and the remedy."""


@dataclass(frozen=True)
class BaseCheckpoint:
    """A checkpoint in the published layout. `digest` changes with its content, `revision` is the Hub commit."""

    path: Path
    digest: str
    revision: str | None
    licence: str


def fetch_base(base: Base, folder: Path, shipped: Path | None = None) -> BaseCheckpoint:
    """Make the base checkpoint available on this machine.

    A Hub repository is copied into a folder named after its commit (`hub.revisions` says which that is). A local path,
    or the `shipped` one where the recipe names none, is used where it lies.

    Raises:
        BaseError: no such folder, not a safetensors checkpoint in the published layout, or it cannot be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    revision = None
    if base.repo:
        try:
            revision = settled_commit(base.repo, base.revision, folder, "model")
        except RevisionError as error:
            raise BaseError(str(error)) from None
        path = _download(base.repo, revision, folder / revision[:12])
    elif base.path:
        path = Path(base.path)
    elif shipped:
        path = shipped
    else:
        raise BaseError("no base checkpoint: set base.path to a checkpoint folder or base.repo to a Hub repository")
    validate_base(path)
    if base.repo:
        _keep_tokenizer(path)
    return BaseCheckpoint(path, checkpoint_digest(path), revision, base.terms)


def _keep_tokenizer(path: Path) -> None:
    from parler_assets.tts.model.tokenizers import TokenizerError, keep_named_tokenizer

    try:
        with disk.writing(path):
            keep_named_tokenizer(path)
    except TokenizerError as error:
        raise BaseError(str(error)) from None


def _download(repo: str, commit: str, folder: Path) -> Path:
    from huggingface_hub import snapshot_download

    with _explained(f"fetch {repo} at {commit}", folder):
        forget_damaged(folder)
        return Path(snapshot_download(repo, revision=commit, local_dir=folder, allow_patterns=_WANTED))


@contextmanager
def _explained(what: str, folder: Path) -> Iterator[None]:
    """Turn what the Hub answers, or that it does not, into what to do."""
    try:
        with disk.writing(folder):
            yield
    except storage.DiskError:
        raise
    except Exception as error:  # of the Hub or of the network: libraries differ, the remedy does not
        raise BaseError(
            f"cannot {what}: {type(error).__name__}; check the connection (HF_TOKEN where access is restricted) and "
            "materialize again, finished files are kept"
        ) from None


def validate_base(path: Path) -> dict:
    """The checkpoint's config, after checking that everything training needs is there.

    Raises:
        BaseError: naming the folder, what is missing, and the remedy.
    """
    if not path.is_dir():
        raise BaseError(
            f"{path}: no such folder; set base.path to a checkpoint folder or base.repo to a Hub repository"
        )
    try:
        config = read_json(path / "config.json")
    except FileNotFoundError:
        raise BaseError(f"{path}: no config.json, so this is not a checkpoint folder") from None
    except Refusal as error:
        raise BaseError(f"{error}; fetch the checkpoint again") from None
    _refuse_damaged(path)
    known_files(path)
    missing = [part for part in _PARTS if not isinstance(config.get(part), dict)]
    if missing:
        raise BaseError(f"{path}/config.json: no {', '.join(missing)} section, so this is not a Parler-TTS checkpoint")
    if not list(path.glob("*.safetensors")):
        pickled = [file.name for file in path.glob("*.bin")]
        remedy = f"convert {pickled[0]} with its original software" if pickled else "fetch the checkpoint again"
        raise BaseError(f"{path}: no .safetensors weights (pickled weights are never loaded); {remedy}")
    if not any((path / name).is_file() for name in _TOKENIZERS):
        raise BaseError(f"{path}: no tokenizer ({' or '.join(_TOKENIZERS)}); copy it from the model's repository")
    return config


def known_files(path: Path) -> dict[str, Path]:
    """Name to path of the files that make a checkpoint, its second tokenizer's among them.

    Raises:
        BaseError: one of them is a link that leaves the folder, or no regular file.
    """
    inside = Folders(path, *_blobs(path))
    places = [path, path / DESCRIPTION]
    found = [file for place in places for pattern in _KNOWN for file in place.glob(pattern)]
    names = sorted({file.relative_to(path).as_posix() for file in found if not file.is_dir()})
    try:
        return {name: inside.find([name]) for name in names}
    except Refusal as error:
        raise BaseError(f"{error}: replace links in a checkpoint by the files themselves") from None


def _blobs(path: Path) -> list[Path]:
    """Where the files of a snapshot in the Hub's own cache lie: its links lead there."""
    return [path.parents[1] / "blobs"] if path.parent.name == "snapshots" else []


def codebook_shape(path: Path) -> tuple[int, int]:
    """(number of codebooks, entries of one codebook) of the checkpoint in `path`."""
    config = validate_base(path)
    decoder, audio = config["decoder"], config["audio_encoder"]
    size = audio.get("codebook_size") or decoder.get("eos_token_id") or decoder.get("pad_token_id")
    return int(decoder["num_codebooks"]), int(size)


def checkpoint_digest(path: Path) -> str:
    """Digest of the files that make a checkpoint behave as it does: weights, configs, tokenizers.

    Raises:
        BaseError: it was sealed, and is not what was sealed.
    """
    _refuse_damaged(path)
    kept = sorted(f for f in path.iterdir() if f.suffix in (".safetensors", ".json", ".model") and f.is_file())
    lines = [f"{file.name}:{storage.known_sha256(file)}" for file in kept if file.name not in (PROVENANCE, MANIFEST)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _refuse_damaged(path: Path) -> None:
    if damage := checkpoint_damage(path):
        raise BaseError(f"{damage}; materialize the asset that made this checkpoint again, or fetch it again")


def seal_checkpoint(path: Path) -> None:
    """Write the digests of a checkpoint's files beside them, last of all."""
    names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    names = [name for name in names if name != MANIFEST]  # of the checkpoint that this one was made from
    SEALED.write(path / MANIFEST, {"files": storage.digests(path, names)})


def checkpoint_damage(path: Path) -> str | None:
    """Which file of a checkpoint that was made here is not what was written; None if all are, or nobody noted it."""
    try:
        files = dict(SEALED.read(path / MANIFEST)["files"])
    except FileNotFoundError:
        return None
    except (storage.RecordError, TypeError, ValueError) as error:
        return str(error)
    return storage.damage(path, files)
