"""Where the published weights of annotators come from: a folder of the user's, or the Hub and its cache."""

from __future__ import annotations

import os
from pathlib import Path

from parler_assets.speech.annotators.pitch import AnnotatorError

FOLDER = "PARLER_WEIGHTS"  # environment variable: a folder with weight files, for machines without a network


def fetch(name: str, repo: str | None, origin: str) -> Path:
    """The file `name`, from the user's folder or the Hub repository.

    Args:
        repo: Hub repository that has it; None where no repository is known.
        origin: whose file it is, for the message.

    Raises:
        AnnotatorError: it is in neither place.
    """
    folder = os.environ.get(FOLDER)
    if folder and (Path(folder) / name).is_file():
        return Path(folder) / name
    if repo is None:
        raise AnnotatorError(f"{name} ({origin}) is missing: put it into a folder and name that folder in {FOLDER}")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name))
    except Exception as error:  # of the Hub, of the network or of the disk: libraries differ, the remedy does not
        raise AnnotatorError(
            f"{name} ({origin}, {repo} on the Hub) cannot be fetched: {type(error).__name__}; connect once, or put it "
            f"into a folder and name that folder in {FOLDER}"
        ) from None
