"""What the labels mean, and the words for it: read by the template that writes sentences and by the check that reads
them.

A bin label is a direction on a scale with a degree: "quite slowly" is slow, quite. The labels are those of v01 and v02
(`binning/data/labels_*.json`); a label outside them has no meaning here and is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEGREES = ("extremely", "very", "quite", "slightly")


@dataclass(frozen=True)
class Meaning:
    """A label taken apart: where it lies on its scale and how far out; `degree` is empty for a plain one."""

    direction: str
    degree: str = ""


# Label without its degree -> direction, by attribute.
DIRECTIONS = {
    "speaking_rate": {"slowly": "slow", "fast": "fast", "moderate speed": "moderate"},
    "pitch": {
        "low pitch": "low",
        "low-pitch": "low",
        "high pitch": "high",
        "high-pitch": "high",
        "moderate pitch": "moderate",
    },
    "speech_monotony": {
        "monotone": "monotone",
        "expressive": "expressive",
        "expressive and animated": "animated",
        "moderate intonation": "moderate",
    },
    "noise": {
        "noisy": "noisy",
        "clear": "clear",
        "clean": "clean",
        "moderate ambient sound": "ambient",
        "balanced in clarity": "balanced",
    },
    "sdr_noise": {"noisy": "noisy", "almost no noise": "almost none", "clear": "clear"},
    "reverberation": {
        "roomy sounding": "roomy",
        "distant-sounding": "distant",
        "confined sounding": "confined",
        "close-sounding": "close",
        "moderate reverberation": "moderate",
    },
}
SCALES = tuple(DIRECTIONS)
GENDERS = ("male", "female")
# Both outermost labels of a recording at once are said as a whole: a very poor or a very good recording.
WORST = {"noise": ("noisy", "very"), "sdr_noise": ("noisy", "extremely"), "reverberation": ("roomy distant", "very")}
BEST = {"noise": ("clear clean", "very"), "sdr_noise": ("clear", "very"), "reverberation": ("confined close", "very")}


@dataclass(frozen=True)
class StyleWords:
    """A style as parts of a sentence.

    Attributes:
        manner: adverbials that follow "speaks".
        predicate: verb phrases that can stand beside "and speaks".
        heard: patterns of the words that express it, as a reader accepts them.
    """

    manner: tuple[str, ...]
    predicate: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()


STYLES = {
    "happy": StyleWords(
        ("in a happy tone", "in a happy voice", "happily", "with a happy tone", "with a cheerful tone"),
        ("sounds happy",),
        ("happy", "happily", "happiness", "happier", r"cheer(?:y|ful|fully|fulness)", r"joy(?:ful|fully|ous|ously)?",
         "upbeat", "glad", "gladly", "delighted", "merry", "merrily", "elated", "jolly", "gleeful", "gleefully"),
    ),
    "sad": StyleWords(
        ("in a sad tone", "in a sad voice", "sadly", "with a sad tone", "in a sorrowful voice"),
        ("sounds sad",),
        ("sad", "sadly", "sadness", r"sorrow(?:ful|fully)?", r"melanchol(?:y|ic)", r"mourn(?:ful|fully)", "unhappy",
         "unhappily", "gloomy", "gloomily", "downcast", "dejected", "despondent", "tearful", "tearfully", "grief"),
    ),
    "confused": StyleWords(
        ("in a confused tone", "in a confused voice", "with a confused tone", "in a puzzled voice"),
        ("sounds confused",),
        ("confused", "confusedly", "confusion", "puzzled", "puzzlement", "bewildered", "bewilderment", "perplexed",
         "perplexity", "baffled", "disoriented"),
    ),
    "laughing": StyleWords(
        ("in a laughing voice", "while laughing", "with a laughing tone", "with laughter"),
        (),
        (r"laugh(?:s|ing|ingly|ter)?", r"giggl(?:es?|ing|y)", r"chuckl(?:es?|ing)"),
    ),
    "whisper": StyleWords(
        ("in a whisper", "in a whispered voice", "in a whispering voice", "in a whispering tone"),
        (),
        (r"whisper(?:s|ed|ing|ingly|y)?", "hushed"),
    ),
    "emphasis": StyleWords(
        ("with emphasis", "in an emphatic tone", "emphatically", "with strong emphasis", "in an emphatic voice"),
        ("stresses words with emphasis",),
        ("emphasis", "emphatic", "emphatically", r"emphasi[sz](?:es?|ed|ing)"),
    ),
    "enunciated": StyleWords(
        ("in an enunciated voice", "with clear enunciation", "with careful enunciation", "in an enunciated tone"),
        ("enunciates clearly", "enunciates every word"),
        (r"enunciat(?:es?|ed|ing|ion)", r"articulat(?:es?|ed|ing|ion|ely)", r"(?:clearly|carefully) pronounced"),
    ),
    "default": StyleWords(
        ("in a neutral tone", "in a neutral voice", "with no particular emotion", "without any particular emotion"),
        ("sounds neutral",),
        ("neutral", "neutrally", "unemotional", "unemotionally", "emotionless", "default", "matter-of-fact",
         r"no (?:particular|specific|special|strong|evident|obvious) (?:emotions?|feelings?|tone)",
         r"without (?:any |a )?(?:(?:particular|specific|special|strong|evident|obvious) )?(?:emotions?|feelings?)",
         r"(?:plain|ordinary|everyday|regular|normal|even|natural|standard)(?:,? \w+)? "
         r"(?:tone|voice|manner|delivery|style|way)"),
    ),
    "singing": StyleWords(
        ("in a singing voice", "while singing", "in a singing tone"),
        (),
        (r"sing(?:s|ing)?", "sung", "song"),
    ),
    "essentials": StyleWords(
        ("in an essentials style", "in the style of essentials"),
        (),
        ("essentials?",),
    ),
    "longform": StyleWords(
        ("in a long-form style", "in a long-form reading style", "in a longform style"),
        (),
        (r"long[- ]?form", r"narrat(?:es?|ion|ive|ing)"),
    ),
}  # fmt: skip


def meaning(attribute: str, label: str) -> Meaning | None:
    """A bin label as direction and degree; None for a label that is not one of v01's or v02's."""
    directions = DIRECTIONS[attribute]
    if label in directions:
        return Meaning(directions[label])
    degree, _, rest = label.partition(" ")
    if degree in DEGREES and rest in directions and not rest.startswith(("moderate", "balanced", "almost")):
        return Meaning(directions[rest], degree)
    return None


def is_outermost(attributes, extreme: dict[str, tuple[str, str]]) -> bool:
    """Whether noise and reverberation both have the label of `extreme`: BEST or WORST."""
    noise = "sdr_noise" if "sdr_noise" in attributes else "noise"
    for name in (noise, "reverberation"):
        found = meaning(name, attributes[name]) if name in attributes else None
        directions, degree = extreme[name]
        if found is None or found.direction not in directions.split() or found.degree != degree:
            return False
    return True


def style_words(style: str) -> StyleWords:
    """The words of a style; one that is not Expresso's is said as it is spelt."""
    if style in STYLES:
        return STYLES[style]
    said = style.replace("_", " ")
    an = with_article(said)
    return StyleWords((f"in {an} style", f"with {an} style", f"in {an} speaking style"), (), (re.escape(said),))


def with_article(words: str) -> str:
    """`a happy tone`, `an Irish accent`: by the sound that the words begin with."""
    first = words.lower()
    silent = first.startswith(("hour", "honest", "honour", "honor", "heir"))
    voiced = first.startswith(("uni", "use", "usual", "eu", "one ", "one-"))
    return f"{'an' if silent or (first[:1] in 'aeiou' and not voiced) else 'a'} {words}"
