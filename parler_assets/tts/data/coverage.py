"""Letters of transcripts that a checkpoint's tokenizer does not know: to it they are all one unknown token."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from parler_assets.intake.names import shown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MULTILINGUAL = "parler-tts/parler-tts-mini-multilingual-v1.1"  # knows every script, by bytes
LANGUAGES = 0.05  # share of texts with unknown letters from which on a base is called unfit for their language


class Letters:
    """Which letters a tokenizer knows; it is opened when the first text is not plain ASCII."""

    def __init__(self, tokenizer: Callable[[], PreTrainedTokenizerBase]) -> None:
        self._open, self._known = tokenizer, dict[str, bool]()

    def unknown(self, text: str) -> str:
        """Letters of the text that it does not know, each once, in order."""
        if text.isascii():
            return ""
        letters = dict.fromkeys(letter for letter in text if letter.isalpha())
        return "".join(letter for letter in letters if not self._knows(letter))

    def _knows(self, letter: str) -> bool:
        if letter not in self._known:
            tokenizer = self._open()
            ids = tokenizer(letter, add_special_tokens=False)["input_ids"]
            self._known[letter] = tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids
        return self._known[letter]

    def problem(self, text: str) -> str | None:
        """Why a text cannot be trained on."""
        unknown = self.unknown(text)
        if not unknown:
            return None
        return (
            f"text: the base's tokenizer does not know {shown(unknown)[:20]!r}: choose a base that does, such as "
            f"base.repo {MULTILINGUAL}"
        )

    def unfit(self, texts: Iterable[str]) -> str | None:
        """The letters in question where too many texts have such."""
        found = list(map(self.unknown, texts))
        if sum(map(bool, found)) <= LANGUAGES * len(found):
            return None
        return "".join(dict.fromkeys("".join(found)))[:20]


def letters_of(checkpoint: Path) -> Letters:
    from parler_assets.tts.model.tokenizers import load_tokenizers

    return Letters(lambda: load_tokenizers(checkpoint).prompt)
