"""The descriptions that the sample's nameless clips "were published with": written from what is known of every clip.

No measurement is involved: rate, pitch and melody are what espeak-ng was asked for, noise and reverberation what was
added. Each is labelled in the words of v01 by seven bins of equal width over the range that the plan draws from.
"""

from __future__ import annotations

from collections.abc import Sequence

from parler_assets.recipe import Describing, SyntheticSource
from parler_assets.sample.plan import PlannedClip, generic_clips
from parler_assets.speech.binning.edges import published_labels
from parler_assets.speech.descriptions import describe_attributes, sentences

WORDINGS = 16  # sentences that one set of attributes is said in
STUDIO_SNR = 42.0  # dB; what the plan records in its studio
# From the lowest to the highest value: words per minute, espeak-ng's pitch and pitch range (0-99), dB.
RANGES = {
    "speaking_rate": (90.0, 264.0),
    "pitch": (20.0, 65.0),
    "speech_monotony": (0.0, 99.0),
    "noise": (0.0, 45.0),
    "reverberation": (6.0, 40.0),
}


def descriptions(source: SyntheticSource) -> dict[str, str]:
    """Id to description of every clip of a generic corpus, by the same settings that synthesize it."""
    clips = generic_clips(source.clips, source.seed)
    settings = Describing(prompt="generic_v01", captions=["situational"], paraphrases=WORDINGS, seed=source.seed)
    return {
        clip.id: describe_attributes(known_labels(clip), settings, variant=number) for number, clip in enumerate(clips)
    }


def pretraining_descriptions(clips: Sequence[PlannedClip], seed: int = 0) -> dict[str, str]:
    """Id to description for voices in every style: in Expresso's words for clips without noise, which are of
    "high quality"; for others gender, rate, pitch, noise and reverberation beside the style. A familiar voice is called
    by its name in place of its gender."""
    found = {}
    for number, clip in enumerate(clips):
        known = known_labels(clip) | {"style": clip.style}
        if clip.snr >= STUDIO_SNR:
            known = {name: known[name] for name in ("gender", "style", "speaking_rate")} | {"quality": "high"}
        if clip.speaker:
            known = {"name": clip.speaker} | {name: value for name, value in known.items() if name != "gender"}
        options = sentences(known, WORDINGS, seed)
        found[clip.id] = options[number % len(options)]
    return found


def known_labels(clip: PlannedClip) -> dict[str, str]:
    """The labels of v01 that a planned clip has by construction."""
    delivery, request = clip.delivery, clip.delivery.request
    known = {
        "speaking_rate": request.words_per_minute * delivery.speaker.tract,
        "pitch": float(request.pitch),
        "speech_monotony": float(request.pitch_range),
        "noise": clip.snr,
        "reverberation": clip.c50,
    }
    return {"gender": clip.gender, **{name: label(name, value) for name, value in known.items()}}


def label(attribute: str, value: float) -> str:
    """The label of v01 whose bin `value` falls in; values outside the range get the outermost one."""
    low, high = RANGES[attribute]
    words = published_labels("v01")[attribute]
    return words[min(max(int((value - low) / (high - low) * len(words)), 0), len(words) - 1)]
