"""From text bins to English: written by a language model or the template, or taken from a published set."""

from __future__ import annotations

from collections.abc import Mapping

from parler_assets.recipe import Describing
from parler_assets.speech.descriptions.attributes import Unusable, attributes_of
from parler_assets.speech.descriptions.errors import DescriptionError
from parler_assets.speech.descriptions.published import join_published
from parler_assets.speech.descriptions.situations import Attributes, Kind
from parler_assets.speech.descriptions.stage import describe_corpus
from parler_assets.speech.descriptions.template import sentences

__all__ = [
    "Attributes",
    "DescriptionError",
    "Unusable",
    "describe_attributes",
    "describe_corpus",
    "join_published",
    "sentences",
    "wordings",
]


def describe_attributes(attributes: Mapping[str, str], settings: Describing, variant: int = 0) -> str:
    """One sentence that asks for these attributes in the words of a recipe's situation; always by the template.

    Args:
        attributes: name, style, gender, accent and label columns; those that `settings.prompt` does not speak of are
            passed over, those it speaks of and that are not given are not said.
        variant: number of the wording, taken modulo their number.

    Raises:
        Unusable: a label, name or style that no sentence can hold.
    """
    found = wordings(attributes, settings)
    return found[variant % len(found)]


def wordings(attributes: Mapping[str, str], settings: Describing) -> list[str]:
    """Up to `settings.paraphrases` different sentences for the same attributes, in a fixed order."""
    kind: Kind = "named" if "named" in settings.captions else "situational"
    return sentences(
        attributes_of(attributes, settings.prompt, kind, strict=False), settings.paraphrases, settings.seed
    )
