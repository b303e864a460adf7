"""The engine without a model: grammatical, varied sentences from attributes, the same ones for the same seed.

Every attribute that is given is said, in words that the check of faithfulness accepts. It is the `template` engine of
a recipe, what steps in where a language model fails, and how evaluation and `say` word what they ask for.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from parler_assets.speech.descriptions.checking.vocabulary import (
    BEST,
    WORST,
    is_outermost,
    meaning,
    style_words,
    with_article,
)

TRIES = 60  # draws for each sentence that is still missing; few attributes have few wordings
VERBS = ("speaks", "talks", "delivers the words", "says the words")
NAMELESS = {
    "male": ("A male speaker", "A man", "The man"),
    "female": ("A female speaker", "A woman", "The woman"),
    "": ("A speaker", "Someone", "The speaker"),
}
HIGH = (
    "with high-quality audio",
    "with high quality audio",
    "in a high-quality recording",
    "and the audio is of high quality",
    "and the recording is of high quality",
)
GOOD = ("in a very good recording", "in an excellent recording", "and the recording quality is very good",
        "and the recording is excellent", "with very high quality audio")  # fmt: skip
POOR = ("in a very poor recording", "in a very bad recording", "and the recording quality is very poor",
        "and the recording is very bad", "with very poor quality audio")  # fmt: skip
PACES = {"slow": ("{} slowly", "at a {} slow pace", "at a {} slow speed"),
         "fast": ("{} fast", "at a {} fast pace", "at a {} fast speed", "{} quickly"),
         "moderate": ("at a moderate speed", "at a moderate pace", "at moderate speed")}  # fmt: skip
PITCHES = {"low": ("with a {} low pitch", "in a {} low-pitched voice"),
           "high": ("with a {} high pitch", "in a {} high-pitched voice"),
           "moderate": ("with a moderate pitch", "at a moderate pitch")}  # fmt: skip
MELODIES = {"monotone": ("in a {} monotone way", "with a {} monotone delivery"),
            "expressive": ("in a {} expressive way", "with a {} expressive delivery"),
            "animated": ("in a {} expressive and animated way", "with a {} expressive and animated delivery"),
            "moderate": ("with moderate intonation", "with a moderate intonation")}  # fmt: skip
# What a recording is (adjectives), or has (nouns).
SOUNDS = {"noisy": "{} noisy", "clear": "{} clear", "clean": "{} clean", "balanced": "balanced in clarity",
          "roomy": "{} roomy sounding", "distant": "{} distant-sounding", "confined": "{} confined sounding",
          "close": "{} close-sounding"}  # fmt: skip
HAS = {"ambient": "moderate ambient sound", "almost none": "almost no noise", "moderate": "moderate reverberation"}


def sentences(attributes: Mapping[str, str], count: int, seed: int = 0) -> list[str]:
    """Up to `count` different sentences that state all of `attributes`; a longer list begins with the shorter one.

    Args:
        attributes: any of name, gender, style, accent, the label columns, and quality: high.
    """
    draw = random.Random(f"{seed} {sorted(attributes.items())}")
    found: dict[str, None] = {}
    for _ in range(count * TRIES):
        if len(found) == count:
            break
        found.setdefault(_sentence(attributes, draw))
    return list(found)


def _sentence(attributes: Mapping[str, str], draw: random.Random) -> str:
    subject = attributes.get("name") or draw.choice(NAMELESS[attributes.get("gender", "")])
    verb = draw.choice(VERBS[subject.endswith("speaker") :])  # no speaker speaks
    manners = _manners(attributes, draw)
    style = style_words(attributes["style"]) if "style" in attributes else None
    form = draw.random()
    if style and style.predicate and manners and form < 0.2:
        spoken = f"{subject} {draw.choice(style.predicate)} and {verb} {_listed(manners, draw)}"
    else:
        manners += [draw.choice(style.manner)] if style else []
        draw.shuffle(manners)
        if len(manners) > 1 and _is_phrase(manners[0]) and form > 0.8:
            spoken = f"{_capital(manners[0])}, {_uncapital(subject, attributes)} {verb} {_listed(manners[1:], draw)}"
        else:
            spoken = " ".join([subject, verb, _listed(manners, draw)]).strip()
    return f"{spoken}{_recording(attributes, draw)}."


def _manners(attributes: Mapping[str, str], draw: random.Random) -> list[str]:
    """How it is spoken, style excepted, as adverbials in chance order."""
    found = []
    for name, words in (("speaking_rate", PACES), ("pitch", PITCHES), ("speech_monotony", MELODIES)):
        said = meaning(name, attributes[name]) if name in attributes else None
        if said:
            found.append(_filled(draw.choice(words[said.direction]), said.degree))
    if "accent" in attributes:
        found.append(f"{draw.choice(('with', 'in'))} {with_article(attributes['accent'])} accent")
    draw.shuffle(found)
    return found


def _recording(attributes: Mapping[str, str], draw: random.Random) -> str:
    """What the recording is like, as the end of the sentence."""
    if attributes.get("quality") == "high":
        return f", {draw.choice(HIGH)}"
    for extreme, words in ((WORST, POOR), (BEST, GOOD)):
        if is_outermost(attributes, extreme):
            return f", {draw.choice(words)}"
    found = [meaning(name, attributes[name]) for name in ("noise", "sdr_noise", "reverberation") if name in attributes]
    are = [_filled(SOUNDS[m.direction], m.degree) for m in found if m and m.direction in SOUNDS]
    have = [HAS[m.direction] for m in found if m and m.direction in HAS]
    draw.shuffle(are)
    return _qualities(are, have, draw)


def _qualities(are: list[str], have: list[str], draw: random.Random) -> str:
    if not are and not have:
        return ""
    it = draw.choice(("recording", "audio"))
    if not are:
        return draw.choice((f", with {' and '.join(have)}", f", and the {it} has {' and '.join(have)}"))
    with_ = f" with {' and '.join(have)}" if have else ""
    attributive = not any(word.startswith("balanced") for word in are)
    if attributive and draw.random() < 0.4:
        return f", in {with_article(' and '.join(are))} recording{with_}"
    return f", and the {it} is {' and '.join(are)}{with_}"


def _is_phrase(manner: str) -> bool:
    return manner.startswith(("in ", "with ", "at ", "while ", "without "))


def _listed(manners: list[str], draw: random.Random) -> str:
    """Adverbials as an enumeration, plain adverbs such as "quite fast" before phrases."""
    manners = sorted(manners, key=_is_phrase)
    if len(manners) == 2 and _is_phrase(manners[1]) and draw.random() < 0.5:
        return " ".join(manners)
    return " and ".join([", ".join(manners[:-1]), manners[-1]]) if len(manners) > 1 else "".join(manners)


def _filled(words: str, degree: str) -> str:
    """`at a {} slow pace` with a degree or without one, and the article that then fits."""
    filled = " ".join(words.replace("{}", degree).split())
    return filled.replace(" a extremely", " an extremely").replace(" a expressive", " an expressive")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _uncapital(subject: str, attributes: Mapping[str, str]) -> str:
    return subject if "name" in attributes else subject[:1].lower() + subject[1:]
