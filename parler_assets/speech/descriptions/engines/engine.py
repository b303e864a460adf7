"""What every engine offers: answers to requests, the same one for the same request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parler_assets.hub.pretrained import checked_folder
from parler_assets.intake.remote_code import first_line
from parler_assets.speech.descriptions.errors import DescriptionError

ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"description": {"type": "string"}},
    "required": ["description"],
    "additionalProperties": False,
}
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Request:
    """One question: chat messages, the seed it is sampled with, and the key its answer is kept under."""

    key: str
    messages: Messages
    seed: int


class Engine(Protocol):
    """Answers requests. The same request is given the same answer, whatever it is asked together with."""

    def answers(self, requests: Sequence[Request]) -> Iterator[dict[str, str]]:
        """Key to text, some at a time as they are finished, in any order.

        Raises:
            DescriptionError: the engine cannot go on; what was yielded is finished.
        """

    def close(self) -> None:
        """Give back what the engine holds: processes, GPU memory, connections."""


def checked_model(model: str, revision: str | None) -> Path:
    """The folder of a language model, once its files and sizes are looked at; see `hub.pretrained`.

    Raises:
        DescriptionError: it cannot be fetched, or is refused.
    """
    try:
        return checked_folder(model, revision)
    except (OSError, ValueError) as error:
        raise DescriptionError(f"describing.model {model} cannot be loaded: {first_line(error)}") from None
