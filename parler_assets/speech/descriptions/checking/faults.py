"""Does a sentence say what it was asked to say, and nothing else? Every way in which it does not is named.

Form first (empty, cut, bracketed, chatty, not English), then content: the name and no other name, and every attribute
in its own or a listed word, with its degree and without a contradiction.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from importlib import resources

from parler_assets.speech.descriptions.checking import wording
from parler_assets.speech.descriptions.checking.vocabulary import (
    BEST,
    SCALES,
    STYLES,
    WORST,
    is_outermost,
    meaning,
    style_words,
)
from parler_assets.speech.lexicon import lexicon

VERSION = "1"
SHORTEST, LONGEST = 20, 500  # characters; the longest is training.max_description_length's default
MOST_SENTENCES = 4
LEAST_ENGLISH = 0.8  # share of words that an English dictionary has


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BRACKETS = re.compile(r"[\[\]{}<>()|*#_`~\\]")
_PREAMBLE = re.compile(
    r"^(?:sure|certainly|of course|okay|ok|absolutely|here(?:'s| is| are)|description|answer|output|result|sentence|"
    r"based on|according to|given the|as requested|the (?:following|description|sentence)|below|note|"
    r"i(?:'m| am| will| can| cannot| can't| have| would)|as an|let me|my|please|this (?:description|sentence))\b"
    r"|^[a-z ]{0,30}:",
    re.IGNORECASE,
)
_ABOUT_ITSELF = re.compile(
    r"\b(?:keywords?|as an ai|language model|description|placeholder|let me know|hope this|note that|prompt|"
    r"instructions?|i'm sorry|apologi[sz]e|attributes?|requested|word count)\b",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"\w\s?/\s?\w|\beither\b|(?<!emotion)(?<!feeling) or (?!so\b)", re.IGNORECASE)
_COMMON = _set(
    "a an the and with in at is of as his her their he she it on from by to for but that this while each every who has "
    "very quite slightly voice tone pace speaks talks says speech high low quality audio recording"
)
_GENDERED = {
    "male": _set("man man's male male's gentleman he his him masculine guy men"),
    "female": _set("woman woman's female female's lady she her hers feminine girl women"),
}
_ACTED = tuple(style for style in STYLES if style not in ("default", "longform", "essentials"))
_NEUTRAL = re.compile(r"\bneutral|\b(?:no|without) (?:any )?(?:particular )?emotion")
_STARTS = _set(
    "he she they it someone somebody this that there everything speech audio sound recording quality the a an his her "
    "their who which what every each one"
)
_DOES = _set(
    "speaks talks says said reads delivers whispers laughs sounds is has uses enunciates expresses stresses sings "
    "articulates utters conveys maintains narrates spoke speaking's"
)


def faults(text: str, attributes: Mapping[str, str], names: Collection[str] = ()) -> list[str]:
    """Why `text` is not a faithful description of `attributes`; empty where it is one.

    Args:
        text: as stripped by `stripped`.
        attributes: as of `attributes_of`: name, gender, style, accent, labels, quality.
        names: of all speakers, to find one that does not belong.

    Returns:
        Reasons, each a short kind, a colon and the particulars.
    """
    return form_faults(text) or [*_names(text, attributes, names), *_content(text, attributes)]


def form_faults(text: str) -> list[str]:
    """What is wrong with `text` whatever it should say: empty, cut, bracketed, chatty, too long, not English."""
    return list(_formal(text))


def stripped(text: str) -> str:
    """A model's answer without the white space and the quotation marks around it."""
    text = text.strip()
    while len(text) > 1 and text[0] in "\"'“‘" and text[-1] in "\"'”’":
        text = text[1:-1].strip()
    return text


# ---------------------------------------------------------------------------------------------------------------- form


def _formal(text: str) -> Iterator[str]:
    if not text:
        yield "empty: no text at all"
        return
    if "\n" in text:
        yield "several lines: one description was asked for"
    if found := _BRACKETS.search(text):
        yield f"brackets or markup: {found.group()!r}"
    if found := _PREAMBLE.search(text):
        yield f"preamble: {found.group()!r}"
    elif found := _ABOUT_ITSELF.search(text):
        yield f"speaks of itself: {found.group()!r}"
    if found := _ALTERNATIVE.search(text):
        yield f"alternatives: {found.group().strip()!r}"
    yield from _length(text)
    yield from _language(text)


def _length(text: str) -> Iterator[str]:
    if not SHORTEST <= len(text) <= LONGEST:
        yield f"length: {len(text)} characters, {SHORTEST} to {LONGEST} are usable"
    if not text[0].isupper():
        yield f"cut: begins with {text[:12]!r}"
    if text[-1] not in ".!":
        yield f"cut: ends with {text[-12:]!r}"
    if len(re.findall(r"[.!?](?:\s|$)", text)) > MOST_SENTENCES:
        yield f"length: more than {MOST_SENTENCES} sentences"
    if found := re.search(r"\b(\w+)(?: \1\b)+", text, re.IGNORECASE):
        yield f"stutter: {found.group()!r}"


def _language(text: str) -> Iterator[str]:
    words = _plain_words(text)
    letters = [character for character in text if character.isalpha()]
    foreign = [character for character in letters if ord(character) > 0x24F]
    known = sum(word in english_words() for word in words)
    if foreign:
        yield f"language: {foreign[0]!r} is no Latin letter"
    elif len(words) < 3 or sum(word in _COMMON for word in words) < 2 or known < LEAST_ENGLISH * len(words):
        yield f"language: not English: {text[:40]!r}"


def _plain_words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower().replace("’", "'"))


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """Words of the lexicon that transcripts are phonemised with."""
    own = {"enunciated", "enunciates", "enunciation", "monotone", "roomy", "unhurried", "echoey", "emphatically"}
    return frozenset(lexicon()) | own


# --------------------------------------------------------------------------------------------------------------- names


def _names(text: str, attributes: Mapping[str, str], names: Collection[str]) -> Iterator[str]:
    own = attributes.get("name")
    rest = text.replace("’", "'")
    if own:
        if not _whole(own).search(rest):
            yield f"name: {own} is not named"
        rest = _whole(own).sub(lambda match: " " * len(match.group()), rest)
    for other in names:
        if other != own and _whole(other).search(rest):
            yield f"another name: {other}"
            return
    allowed = {word for key in ("accent", "style") for word in attributes.get(key, "").lower().split()}
    if found := next((word for word in _named(rest) if word.lower() not in allowed), None):
        yield f"another name: {found}"


@lru_cache(maxsize=4096)
def _whole(name: str) -> re.Pattern:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")


def _named(text: str) -> Iterator[str]:
    """Words that are written like names: capitals inside a sentence, or a given name that begins one."""
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        words = re.findall(r"[^\W\d_][\w'-]*", sentence)
        for place, word in enumerate(words):
            capital = word[:1].isupper() and word != "I"
            if capital and (place > 0 or _is_given_name(words)):
                yield word.removesuffix("'s")


def _is_given_name(words: list[str]) -> bool:
    """Whether the first of a sentence's words is one: listed, or unlisted and doing what speakers do."""
    first = words[0].removesuffix("'s").lower()
    if first in given_names():
        return True
    acts = len(words) > 1 and words[1].lower() in _DOES
    return acts and first not in _STARTS and not first.endswith(("ing", "ly", "ed"))


@lru_cache(maxsize=1)
def given_names() -> frozenset[str]:
    """Common English given names, in lower case."""
    file = resources.files("parler_assets.speech.descriptions.checking") / "given_names.txt"
    return frozenset(file.read_text(encoding="utf-8").split())


# ------------------------------------------------------------------------------------------------------------- content


def _content(text: str, attributes: Mapping[str, str]) -> Iterator[str]:
    lower = text.lower().replace("’", "'")
    yield from _style(lower, attributes.get("style"))
    yield from _gender(lower, attributes.get("gender"))
    if "accent" in attributes and not (attributes["accent"].lower() in lower and "accent" in lower):
        yield f"accent: {attributes['accent']} is not expressed"
    good, poor = bool(wording.GOOD.search(lower)), bool(wording.POOR.search(lower))
    if attributes.get("quality") == "high":
        if poor or not good:
            yield "quality: high quality is not expressed"
        good = poor = False
    summed_up = good if is_outermost(attributes, BEST) else poor if is_outermost(attributes, WORST) else False
    if (good or poor) and not summed_up and "reverberation" in attributes:
        yield f"quality: the recording is called {'good' if good else 'poor'}"
    for scale in SCALES:
        if scale in attributes and not (summed_up and scale in ("noise", "sdr_noise", "reverberation")):
            yield from _scale(lower, scale, attributes[scale])


def _style(text: str, style: str | None) -> Iterator[str]:
    if style is None:
        return
    if not _expresses(text, style):
        yield f"style: {style} is not expressed"
    for other in _ACTED:
        # A user's own style, such as "sad whisper", may hold another's word.
        if other != style and other not in style.split() and _expresses(text, other):
            yield f"another style: {other} beside {style}"
    if style != "default" and _NEUTRAL.search(text):
        yield f"another style: neutral beside {style}"


def _expresses(text: str, style: str) -> bool:
    return any(not wording.denied(text, match.start()) for match in _style_pattern(style).finditer(text))


@lru_cache(maxsize=1024)
def _style_pattern(style: str) -> re.Pattern:
    return re.compile(rf"(?<!\w)(?:{'|'.join(style_words(style).heard).lower()})(?!\w)")


def _gender(text: str, gender: str | None) -> Iterator[str]:
    if gender is None:
        return
    words = set(re.findall(r"[a-z]+(?:'s)?", text))
    other = "female" if gender == "male" else "male"
    if not words & _GENDERED[gender]:
        yield f"gender: {gender} is not expressed"
    if words & _GENDERED[other]:
        yield f"gender: {other} beside {gender}"


def _scale(text: str, scale: str, label: str) -> Iterator[str]:
    wanted = meaning(scale, label)
    if wanted is None:
        yield f"{scale}: {label} has no meaning here"
        return
    direction = wording.SAME.get(wanted.direction, wanted.direction)
    heard = wording.heard(scale, text)
    right = [found for found in heard if found.direction == direction]
    wrong = [found for found in heard if found.direction != direction]
    if not right:
        yield f"{scale}: {label} is not expressed"
    elif not any(wording.fits(wanted.degree, found.degree) for found in right):
        yield f"{scale}: {label} has another degree"
    if right and wrong:
        yield f"{scale}: {wrong[0].direction} beside {label}"
