"""Which attributes a description states: chosen from a clip's row by the situation, and refused where unusable.

A clip whose speaker has no name, or whose accent is unknown, falls back to the generic situation of the same version,
as in the original.
"""

from __future__ import annotations

from collections.abc import Mapping

from parler_assets.recipe.names import LONGEST, sayable
from parler_assets.speech.descriptions.checking.vocabulary import GENDERS, SCALES, meaning
from parler_assets.speech.descriptions.own_template import first_situation
from parler_assets.speech.descriptions.situations import SITUATIONS, Attributes, Kind, Situation

COLUMNS = ("speaker", "gender", "style", "accent", *SCALES)
REMEDIES = {
    "name": "give the corpus a speaker column, name clips without one by speaker_names: {'': NAME}, or choose "
    "describing.prompt generic_v01",
    "style": "name the style column of the source, or choose describing.prompt named_v01 or generic_v01",
    "sdr_noise": "set annotation.quality to squim, or choose a v01 prompt",
    "speaking_rate": "see the column `note` of its tags",
}
_UNKNOWN = {"", "unknown", "unidentified", "unindentified", "none", "n/a"}


class Unusable(ValueError):
    """Why a clip cannot be described: a short kind, a colon, the particulars."""


def situation_of(prompt: str, given: Mapping[str, str]) -> Situation:
    """The situation of a clip under a recipe's prompt; a prompt that is no known name is a user's template file."""
    situation = first_situation(prompt)
    while situation.without and situation.without[0] not in given:
        situation = SITUATIONS[situation.without[1]]
    return situation


def columns_of(prompt: str) -> list[str]:
    """The label columns that a prompt's situations may speak of."""
    states, situation = list[str](), first_situation(prompt)
    while True:
        states += [*situation.states, *_nameless(situation)]
        if situation.without is None:
            break
        situation = SITUATIONS[situation.without[1]]
    wanted = {"speaker" if name == "name" else name for name in states}
    return [name for name in COLUMNS if name in wanted]


def attributes_of(row: Mapping[str, str | None], prompt: str, kind: Kind = "named", strict: bool = True) -> Attributes:
    """What a clip's description states, in the situation's order.

    Args:
        row: label columns of a clip; the speaker is called `speaker` or `name`.
        kind: `situational` leaves the name out and, where it is known, says the gender instead.
        strict: needed attributes must be there; else what is missing is not said.

    Raises:
        Unusable: a needed attribute is missing, or a label, name or style is none that a sentence can hold.
    """
    given = {name: str(row[name]).strip() for name in COLUMNS if _known(row.get(name))}
    name = row.get("name") or given.get("speaker")
    if name:
        given["name"] = str(name).strip()
    situation = situation_of(prompt, given)
    for missing in (name for name in situation.needed if strict and name not in given):
        raise Unusable(f"no {_called(missing)}: {REMEDIES.get(missing, 'the clip has no such label')}")
    states = situation.states if kind == "named" or "name" not in situation.states else _nameless(situation)
    chosen = {name: _checked(name, given[name]) for name in states if name in given}
    return chosen | ({"quality": "high"} if situation.quality else {})


def unusable(row: Mapping[str, str | None], prompt: str, columns: list[str]) -> str | None:
    """Why a clip's speaker or style keeps it from being described, as far as that is known before it is measured."""
    needed = situation_of(prompt, {name: str(value) for name, value in row.items() if _known(value)}).needed
    for column, attribute in (("speaker", "name"), ("style", "style")):
        value = row.get(column)
        if column in columns and _known(value):
            try:
                _checked(attribute, str(value).strip())
            except Unusable as error:
                return str(error)
        elif attribute in needed and attribute == "name":
            return f"no speaker: {REMEDIES['name']}"
    return None


def _nameless(situation: Situation) -> tuple[str, ...]:
    return tuple("gender" if name == "name" else name for name in situation.states)


def _known(value: str | None) -> bool:
    return value is not None and str(value).strip().lower() not in _UNKNOWN


def _called(name: str) -> str:
    return "speaker" if name == "name" else name


def _checked(attribute: str, value: str) -> str:
    """The value, if a sentence can hold it: text from a corpus never reaches a prompt unread."""
    if attribute in SCALES and meaning(attribute, value) is None:
        raise Unusable(f"unknown label: {attribute} {_shown(value)}; descriptions know the labels v01 and v02")
    if attribute == "gender":
        if value.lower() not in GENDERS:
            raise Unusable(f"unknown gender: {_shown(value)}; write male or female in the recipe's genders")
        return value.lower()
    if attribute not in SCALES and not sayable("name" if attribute == "name" else "style", value):
        what = "a name: map it in the corpus's speaker_names" if attribute == "name" else "one to three plain words"
        raise Unusable(f"unusable {_called(attribute)}: {_shown(value)} is not {what}")
    return value


def _shown(value: str) -> str:
    return repr(value if len(value) <= LONGEST else value[:LONGEST] + "...")
