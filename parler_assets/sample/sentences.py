"""The sample's sentences: one pattern with six slots, 40 common words, about two seconds when spoken.

A closed pattern is what a model of two million parameters can learn to say in an hour of CPU time, and what an offline
recogniser with a grammar can judge. Words of one slot were chosen to differ from each other in their stressed vowel.
"""

from __future__ import annotations

import random

ADJECTIVES = ("old", "small", "red", "young", "kind", "black", "lucky", "green")
NOUNS = ("dog", "teacher", "boat", "farmer", "bird", "man", "woman", "child")
VERBS = ("waits", "sings", "sleeps", "works", "walks", "stays", "plays", "looks")
PLACES = ("near", "behind", "under", "above")
THINGS = ("river", "garden", "window", "station", "market", "school", "bridge", "house")


def sentence(draw: random.Random) -> str:
    """One sentence of the pattern, such as `The old dog waits near the river.`"""
    adjective, noun, verb = draw.choice(ADJECTIVES), draw.choice(NOUNS), draw.choice(VERBS)
    return f"The {adjective} {noun} {verb} {draw.choice(PLACES)} the {draw.choice(THINGS)}."


def passage(draw: random.Random) -> str:
    """What the base learns from: mostly one sentence, sometimes two, or a few words that end by themselves."""
    kind = draw.random()
    if kind < 0.12:
        return f"{sentence(draw)} {sentence(draw)}"
    if kind < 0.20:
        return short_text(draw)
    return sentence(draw)


def short_text(draw: random.Random) -> str:
    """One to three words, such as `Teacher.` or `The old dog.`"""
    noun = draw.choice(NOUNS)
    whole = (noun, f"the {noun}", f"the {draw.choice(ADJECTIVES)} {noun}", f"the {noun} {draw.choice(VERBS)}")
    return draw.choice(whole).capitalize() + "."


def sentences(count: int, seed: int) -> list[str]:
    """`count` distinct sentences, always the same ones for a seed."""
    draw = random.Random(f"sentences {seed}")
    found: dict[str, None] = {}
    while len(found) < count:
        found[sentence(draw)] = None
    return list(found)


def emphasised(text: str, draw: random.Random) -> str:
    """The text with its adjective or noun marked *so*, as transcripts of emphasised speech mark it."""
    words = text.split(" ")
    place = draw.choice((1, 2))
    words[place] = f"*{words[place]}*"
    return " ".join(words)
