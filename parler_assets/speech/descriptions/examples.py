"""The examples in a prompt: attributes, and a sentence as it should be, which the check of faithfulness must accept."""

from __future__ import annotations

from parler_assets.speech.descriptions.checking.vocabulary import with_article
from parler_assets.speech.descriptions.situations import SITUATIONS, Attributes

EXAMPLES: dict[str, list[tuple[Attributes, str]]] = {
    "expresso": [
        (
            {"name": "Talia", "gender": "female", "style": "happy", "speaking_rate": "quite slowly", "quality": "high"},
            "{who} speaks quite slowly in a happy tone, with high quality audio.",
        ),
        (
            {"name": "Jerry", "gender": "male", "style": "emphasis", "speaking_rate": "very fast", "quality": "high"},
            "{who} talks very fast and with emphasis, and the audio is of high quality.",
        ),
        (
            {"name": "Thomas", "gender": "male", "style": "default", "speaking_rate": "moderate speed",
             "quality": "high"},
            "In a neutral voice, {who} speaks at a moderate pace, with high quality audio.",
        ),
    ],
    "v01": [
        (
            {"name": "Laura", "gender": "female", "reverberation": "slightly roomy sounding", "noise": "quite noisy",
             "speech_monotony": "very expressive", "pitch": "quite high pitch", "speaking_rate": "slightly fast"},
            "{who} speaks slightly fast and very expressively{pitch}, in a quite noisy and slightly roomy sounding "
            "recording.",
        ),
        (
            {"name": "Gary", "gender": "male", "reverberation": "very confined sounding", "noise": "very clear",
             "speech_monotony": "slightly monotone", "pitch": "very low pitch", "speaking_rate": "moderate speed"},
            "In a very good recording, {who} talks at a moderate pace with a slightly monotone delivery{pitch}.",
        ),
    ],
    "v02": [
        (
            {"name": "Laura", "gender": "female", "accent": "Irish", "reverberation": "slightly distant-sounding",
             "sdr_noise": "noisy", "speech_monotony": "very expressive and animated", "pitch": "high-pitch",
             "speaking_rate": "slightly fast"},
            "{who} speaks slightly fast and in a very expressive and animated way{pitch}{accent}, in a noisy and "
            "slightly distant-sounding recording.",
        ),
        (
            {"name": "Gary", "gender": "male", "accent": "Scottish", "reverberation": "very distant-sounding",
             "sdr_noise": "extremely noisy", "speech_monotony": "monotone", "pitch": "very low-pitch",
             "speaking_rate": "slowly"},
            "{who} talks slowly and in a monotone way{pitch}{accent}, and the recording is very poor.",
        ),
    ],
}  # fmt: skip
_PITCH = {"quite high pitch": " with a quite high pitch", "very low pitch": " and a very low pitch",
          "high-pitch": " with a high pitch", "very low-pitch": " with a very low pitch"}  # fmt: skip


def examples_of(situation: str, named: bool) -> list[tuple[Attributes, str]]:
    """The examples of a situation: attributes as it states them, and the sentence."""
    states = SITUATIONS[situation].states
    who = "name" if named else "gender"
    wanted = {who if name == "name" else name for name in states} | ({"quality"} if situation == "expresso" else set())
    found = []
    for attributes, sentence in EXAMPLES["expresso" if situation == "expresso" else situation.split("_")[1]]:
        kept = {name: value for name, value in attributes.items() if name in wanted}
        nameless = "a woman" if attributes["gender"] == "female" else "a man"
        parts = {"who": kept.get("name", nameless), "pitch": _PITCH[kept["pitch"]] if "pitch" in kept else "",
                 "accent": f" and with {with_article(kept['accent'])} accent" if "accent" in kept else ""}  # fmt: skip
        filled = sentence.format(**parts)
        found.append((kept, filled[:1].upper() + filled[1:]))
    return found
