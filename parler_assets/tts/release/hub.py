"""Files to a repository of the Hub, in one commit. The token comes from the environment and goes nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

TOKEN = "HF_TOKEN"


class HubError(RuntimeError):
    """The Hub did not take what was sent; the message says what to do."""


class Push:
    """A connection to the Hub with the token of the environment.

    Raises:
        HubError: there is no token.
    """

    def __init__(self, private: bool) -> None:
        from huggingface_hub import HfApi

        if not os.environ.get(TOKEN):
            raise HubError(f"no token: set {TOKEN} in the environment of this process to one that may write")
        self.api, self.private = HfApi(token=os.environ[TOKEN]), private

    def send(self, repo: str, kind: str, files: Mapping[str, Path], message: str) -> str:
        """Make `repo` hold `files` (path there to file here) and return the commit. What is there is not sent again."""
        from huggingface_hub import CommitOperationAdd

        operations = [CommitOperationAdd(there, str(here)) for there, here in files.items()]
        try:
            self.api.create_repo(repo, repo_type=kind, private=self.private, exist_ok=True)
            commit = self.api.create_commit(repo, operations, commit_message=message, repo_type=kind)
        except Exception as error:  # the Hub's own, and those of the HTTP library below it, which are no OSError
            raise HubError(_explained(repo, error)) from None
        return commit.oid


def _explained(repo: str, error: Exception) -> str:
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    status = response.status_code if response is not None else None
    remedies = {
        401: f"the token is not valid: set {TOKEN} to a current one",
        403: f"the token may not write there: give it write access to {repo}",
        429: "too many requests: wait some minutes and materialize again",
    }
    reason = remedies.get(status or 0, "what has arrived is kept: materialize again and the rest is sent")
    said = (str(error) or type(error).__name__).splitlines()[0]
    return f"{repo}: not published{f' (HTTP {status})' if status else ''}; {reason}. {said}"
