"""How readers of a description recognise a direction on a scale, and how far out it is.

Patterns are matched against lower-case text. A "moderate" phrase is read first and taken out, so that "moderately
expressive intonation" counts as moderate and not as expressive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

DEGREE_WORDS = {
    "very": "very|extremely|really|exceptionally|highly|remarkably|incredibly|extraordinarily|exceedingly|super|so",
    "quite": "quite|rather|fairly|pretty|relatively|moderately|reasonably",
    "slightly": "slightly|somewhat|mildly|marginally|faintly|a bit|a little|a touch|a tad|a little bit|slight|faint",
}
# Degree of a label -> degrees of a text that say it; a plain word may stand for "quite", and the other way round.
_GROUPS = {"extremely": ("very",), "very": ("very",), "quite": ("quite", ""), "slightly": ("slightly",),
           "": ("", "quite")}  # fmt: skip
_DEGREE = re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in DEGREE_WORDS.items()))
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|without|isn't|doesn't|lacks?|lacking|free of)"
    r"(?: (?!and |with |but |in |at |on |as )\w+){0,3} $"
)
_MIDDLE = r"(?:moderate(?:ly)?|medium|average|normal|regular|middling)"
_THAT_IS = r"(?:that |which )?(?:is |sounds |remains |stays )?"
_SOUND = r"(?:audio|recording|sound|sounds|clip|sample|track|signal)"
_FIRST = ("moderate", "ambient", "balanced", "almost none")

# Attribute -> direction -> patterns.
HEARD: dict[str, dict[str, tuple[str, ...]]] = {
    "speaking_rate": {
        "moderate": (
            rf"{_MIDDLE}(?: \w+)?[ -](?:speed|pace|rate|tempo|paced)",
            r"neither (?:too )?\w+ nor (?:too )?\w+",
        ),
        "slow": (r"slow(?:ly|er|-paced|ness)?", r"unhurried(?:ly)?", "leisurely", r"sluggish(?:ly)?"),
        "fast": (
            r"fast(?:er|-paced)?",
            r"quick(?:ly|er)?",
            r"rapid(?:ly|ity)?",
            r"brisk(?:ly)?",
            r"swift(?:ly)?",
            r"hurried(?:ly)?",
            r"speed(?:y|ily)",
        ),
    },
    "pitch": {
        "moderate": (rf"{_MIDDLE}(?: \w+)?[ -]pitch(?:ed)?", r"mid[ -]pitch(?:ed)?", rf"pitch {_THAT_IS}{_MIDDLE}"),
        "low": (
            r"low(?:er)?(?:,? \w+)?[ -]pitch(?:ed)?",
            r"(?:low(?:er)?|deep)(?: \w+)? (?:voice|tone|register)",
            rf"pitch {_THAT_IS}(?:\w+ ){{0,2}}low",
            r"deep(?:ly)?",
        ),
        "high": (
            r"high(?:er)?(?:,? \w+)?[ -]pitch(?:ed)?",
            r"high(?:er)?(?!(?: \w+)?[ -]quality)(?: \w+)? (?:voice|tone|register)",
            rf"pitch {_THAT_IS}(?:\w+ ){{0,2}}high(?![ -]quality)",
        ),
    },
    "speech_monotony": {
        "moderate": (
            rf"{_MIDDLE}(?: \w+)? (?:intonation|inflections?|expressiv\w+|expression|variation)",
            rf"{_MIDDLE} (?:expressive|intonated|animated|monotone)",
            rf"intonation {_THAT_IS}{_MIDDLE}",
        ),
        "monotone": (r"monoton(?:e|ous|ously|ic|y)", r"flat(?:ly)?", r"unvar(?:ied|ying)", r"inexpressive(?:ly)?"),
        "expressive": (
            r"expressive(?:ly|ness)?",
            r"animated(?:ly)?",
            "animation",
            "lively",
            r"vivid(?:ly)?",
            r"dynamic(?:ally)?",
        ),
    },
    "noise": {
        "ambient": (
            rf"(?:{_MIDDLE}|some)(?: \w+)? (?:ambient |background )?(?:sound|noise|ambien\w+)s?",
            "moderately noisy",
        ),
        "balanced": (
            r"balanced?\b(?: \w+){0,3} clarity",
            r"clarity (?:that )?is balanced",
            "balance of",
            rf"{_MIDDLE} clarity",
        ),
        "almost none": (
            r"(?:almost|nearly|virtually|practically) (?:no |without )?(?:\w+ )?noise(?:less|-free)?",
            r"(?:hardly|barely) any (?:\w+ )?noise",
        ),
        "noisy": (r"nois(?:y|ier|ily)", "noise"),
        "clear": (
            # not that of an articulation
            r"(?<!enunciates )(?<!articulates )(?:clear(?:ly)?|clean(?:ly)?|crisp(?:ly)?)"
            r"(?!,? (?:and \w+ )?(?:enunc|artic|pronou))",
            "pristine",
            "noise-free",
            "clarity",
        ),
    },
    "reverberation": {
        "moderate": (
            rf"(?:{_MIDDLE}|some)(?: \w+)? (?:reverb(?:eration)?|echo(?:es)?|roominess)",
            rf"{_MIDDLE} (?:reverberant|roomy|echoey)",
        ),
        "roomy": (
            r"room(?:y|iness|ier)(?:[ -]sounding)?",
            "spacious",
            r"echo(?:es|ey|ing)?",
            "reverberant",
            "cavernous",
            r"distant(?:ly)?",
            "distance",
            r"far[- ]?(?:away|off)",
            r"(?:large|big) (?:room|space|hall)",
        ),
        "confined": (
            "confined",
            r"close(?:ly)?(?:[ -](?:sounding|up))?",
            "intimate",
            "enclosed",
            r"(?:small|tight) (?:room|space)",
            r"near(?:by)?",
        ),
    },
}
HEARD["sdr_noise"] = HEARD["noise"]
# Directions that readers do not tell apart.
SAME = {"clean": "clear", "distant": "roomy", "close": "confined", "animated": "expressive"}
_VERY_GOOD = r"(?:very good|excellent|great|superb|outstanding|pristine|perfect|exceptional)"
_HIGH = rf"(?:{_VERY_GOOD}|(?:very |extremely )?high(?:est)?)"
_BAD = r"(?:very |extremely |really )?(?:poor|bad|terrible|awful|dreadful|horrible)"
_LOW = rf"(?:{_BAD}|(?:very |extremely )?low)"


def _quality(words: str, unmistakable: str) -> re.Pattern:
    """`words` said of the recording as a whole, or of its quality; `unmistakable` ones also some words before it."""
    alternatives = (
        rf"{words}(?:[ -]quality)?(?: \w+)? {_SOUND}",
        rf"{unmistakable}(?:,? [\w-]+){{0,8}} {_SOUND}",
        rf"{words}(?: \w+)?[ -]quality",
        rf"quality (?:\w+ )?(?:that )?is {words}",
        rf"{_SOUND} (?:\w+ )?is (?:of )?{words}",
        rf"{unmistakable}ly recorded",
    )
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b")


GOOD = _quality(_HIGH, _VERY_GOOD)
POOR = _quality(_LOW, _BAD)


@dataclass(frozen=True)
class Heard:
    """A direction that the text speaks of, with the group of its degree: very, quite, slightly or none."""

    direction: str
    degree: str


def heard(attribute: str, text: str) -> list[Heard]:
    """Everything that lower-case `text` says on a scale; what it denies is left out."""
    found = []
    for direction, pattern in _patterns(attribute):
        for match in pattern.finditer(text):
            if not denied(text, match.start()):
                found.append(Heard(direction, _degree(text, match)))
        if direction in _FIRST:
            text = pattern.sub(lambda match: " " * len(match.group()), text)
    return found


def fits(wanted: str, group: str) -> bool:
    """Whether a degree group says what a label's degree says."""
    return group in _GROUPS[wanted]


def denied(text: str, start: int) -> bool:
    """Whether what begins at `start` of lower-case `text` is said not to be so."""
    return bool(_NEGATION.search(text[:start]))


@lru_cache
def _patterns(attribute: str) -> tuple[tuple[str, re.Pattern], ...]:
    return tuple((name, re.compile(rf"\b(?:{'|'.join(words)})\b")) for name, words in HEARD[attribute].items())


def _degree(text: str, match: re.Match) -> str:
    """The last degree word inside a match or at most three words before it, in the same part of the sentence."""
    before = re.split(r"[,.;]| and | but | with | in | at ", text[: match.start()])[-1]
    last = ""
    for group in _every_degree(f"{' '.join(before.split()[-3:])} {match.group()}"):
        last = group
    return last


def _every_degree(text: str) -> Iterator[str]:
    for found in _DEGREE.finditer(text):
        yield str(found.lastgroup)
