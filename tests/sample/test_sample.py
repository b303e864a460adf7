"""The sample: what is synthesized is what was planned, the same every time, and the instruments hear it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from parler_assets import storage
from parler_assets.recipe import Annotation, Corpus, Shards, SyntheticSource
from parler_assets.sample import base_path
from parler_assets.sample.espeak import RATE, EspeakError, Request, speak
from parler_assets.sample.plan import PLANS, generic_clips, named_clips, pretraining_clips, render
from parler_assets.sample.sentences import ADJECTIVES, sentences
from parler_assets.sample.voices import FAMILIAR, NAMED, STYLES
from parler_assets.speech.annotation.stage import annotate
from parler_assets.speech.audio import Clip
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.speech.codec.codec import load_codec

pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra `sample`) is not installed")
NAMED_CLIPS, GENERIC_CLIPS = 96, 48


@pytest.fixture(scope="module")
def named():
    clips = named_clips(NAMED_CLIPS, seed=3)
    return clips, render(clips)


@pytest.fixture(scope="module")
def tags(named):
    return measured(*named)


@pytest.fixture(scope="module")
def generic():
    clips = generic_clips(GENERIC_CLIPS, seed=3)
    return clips, measured(clips, render(clips))


def measured(clips, sounds) -> list[dict]:
    heard = [Clip(samples, RATE).at(16000) for samples in sounds]
    return annotate(heard, [clip.text for clip in clips], Annotation(pitch="praat", room="classical")).to_pylist()


def by(clips, values, key):
    """Mean of `values` for every value of `key`, missing values left out."""
    groups: dict[str, list[float]] = {}
    for clip, value in zip(clips, values, strict=True):
        if value is not None:
            groups.setdefault(key(clip), []).append(value)
    return {name: float(np.mean(found)) for name, found in groups.items()}


def test_two_runs_give_the_same_bits_whatever_was_said_before(named):
    clips, sounds = named
    again = render([clips[7], clips[3]])
    assert np.array_equal(again[0], sounds[7])
    assert np.array_equal(again[1], sounds[3])


def test_a_clip_does_not_depend_on_the_size_of_its_corpus():
    for plan in PLANS.values():
        assert plan(5, 1) == plan(9, 1)[:5]
        assert plan(5, 1) != plan(5, 2)


def test_every_speaker_has_every_style_as_often():
    cells = [(clip.speaker, clip.style) for clip in named_clips(64, seed=1)]
    assert len(set(cells)) == len(NAMED) * len(STYLES)
    assert {cells.count(cell) for cell in cells} == {2}


def test_the_base_never_heard_the_sample_speakers():
    heard = {clip.delivery.speaker for clip in pretraining_clips(400, seed=1)}
    assert not {speaker.name for speaker in heard} & set(NAMED)
    assert not {(speaker.variant, speaker.tract) for speaker in heard} & {(s.variant, s.tract) for s in NAMED.values()}
    assert {speaker.name for speaker in FAMILIAR} <= {speaker.name for speaker in heard}


def test_sentences_are_distinct_and_of_the_pattern():
    found = sentences(40, seed=5)
    assert len(set(found)) == 40
    assert all(sentence.split()[1] in ADJECTIVES and len(sentence.split()) == 7 for sentence in found)


def test_rate_follows_the_pace_that_was_asked_for(named, tags):
    clips, _ = named
    # A pause between words is part of enunciating and takes time that no pace tells of.
    pairs = [
        (clip.delivery.request.words_per_minute * clip.delivery.speaker.tract, tag["speaking_rate_b"])
        for clip, tag in zip(clips, tags, strict=True)
        if clip.style not in ("enunciated", "laughing")
    ]
    assert spearmanr(*zip(*pairs, strict=True)).statistic > 0.85


def test_pitch_tells_the_genders_and_the_voices(named, tags):
    clips, _ = named
    spoken = [
        None if clip.style == "whisper" else tag["utterance_pitch_mean"] for clip, tag in zip(clips, tags, strict=True)
    ]
    pitch = by(clips, spoken, lambda clip: clip.speaker)
    assert max(pitch["Jerry"], pitch["Thomas"]) + 30 < min(pitch["Elisabeth"], pitch["Talia"])
    assert all(higher - lower > 8 for lower, higher in pairwise(sorted(pitch.values())))


def test_styles_differ_in_rate_pitch_range_loudness_and_voicing(named, tags):
    clips, sounds = named

    def style(values):
        return by(clips, values, lambda clip: clip.style)

    rate = style([tag["speaking_rate_a"] for tag in tags])
    pitch = style([tag["utterance_pitch_mean"] for tag in tags])
    spread = style([tag["utterance_pitch_std"] for tag in tags])
    loudness = style([20 * np.log10(np.sqrt(np.mean(sound**2))) for sound in sounds])
    assert rate["happy"] > rate["default"] > rate["enunciated"]
    assert rate["default"] > rate["sad"]
    assert pitch["happy"] > pitch["default"] > pitch["sad"]
    assert spread["happy"] > spread["default"] > spread["sad"]
    assert loudness["happy"] > loudness["sad"] + 3 > loudness["whisper"]
    whispered = [tag["utterance_pitch_mean"] for clip, tag in zip(clips, tags, strict=True) if clip.style == "whisper"]
    assert whispered.count(None) > 0.7 * len(whispered)


def test_snr_follows_the_noise_that_was_added(generic):
    clips, found = generic
    assert spearmanr([clip.snr for clip in clips], [tag["snr_a"] for tag in found]).statistic > 0.85


def test_c50_follows_the_room_where_noise_does_not_hide_it(generic):
    clips, found = generic
    quiet = [(clip.c50, tag["c50_a"]) for clip, tag in zip(clips, found, strict=True) if clip.snr > 15]
    assert spearmanr(*zip(*quiet, strict=True)).statistic > 0.75


def test_a_corpus_is_synthesized_into_shards_that_resume(tmp_path):
    source = SyntheticSource(kind="synthetic", voices="named", clips=10, seed=1)
    corpus = Corpus(source=source, genders={"Jerry": "male"})
    result = build_raw_dataset(corpus, tmp_path / "raw", Shards(rows=4), tmp_path / "cache")
    first = result.folder / result.manifest.shards[1].file
    kept = first.read_bytes()
    first.unlink()
    again = build_raw_dataset(corpus, tmp_path / "raw", Shards(rows=4), tmp_path / "cache")
    assert (result.folder / again.manifest.shards[1].file).read_bytes() == kept
    assert again.digest == result.digest
    table = storage.read(result.folder, ["speaker", "style", "gender", "text"]).to_pydict()
    assert set(table["style"]) <= set(STYLES)
    assert None not in table["speaker"]


def test_an_unknown_voice_is_an_error_that_names_it():
    with pytest.raises(EspeakError, match="no-such-voice"):
        speak([Request("Hello.", voice="no-such-voice")])


# ---------------------------------------------------------------------------------------------- the shipped checkpoint


def test_the_base_is_small_and_says_where_it_is_from():
    files = [file for file in base_path().rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 12_000_000
    told = json.loads((base_path() / "provenance.json").read_text())
    assert told["made_by"].startswith("python -m parler_assets.sample.pretrain")
    assert not list(base_path().glob("*.bin"))


def test_the_codec_keeps_speech_it_never_heard(named):
    """STOI of copy-synthesis (Taal et al., 2011); what the shipped codec reaches is in its README."""
    stoi = pytest.importorskip("pystoi").stoi
    codec = load_codec(Path(base_path()))
    clips, sounds = named
    spoken = [number for number, clip in enumerate(clips) if clip.style != "whisper"][:12]
    heard = [Clip(sounds[number], RATE).at(codec.sampling_rate).samples for number in spoken]
    copies = codec.decode(codec.encode(heard))
    scores = [stoi(a[: len(b)], b[: len(a)], codec.sampling_rate) for a, b in zip(heard, copies, strict=True)]
    shuffled = [stoi(a[: len(b)], b[: len(a)], codec.sampling_rate) for a, b in zip(heard, copies[1:], strict=False)]
    assert np.mean(scores) > 0.7
    assert np.mean(scores) > np.mean(shuffled) + 0.3
