"""Scores against values worked out by hand, against chance, and on speech-like clips whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from parler_assets import storage
from parler_assets.recipe import Annotation, Evaluation, Thresholds
from parler_assets.speech.annotation import stage as annotators
from parler_assets.speech.audio import Clip
from parler_assets.storage import Part
from parler_assets.tts.scoring import adherence, card, drift, emphasis, measure
from parler_assets.tts.scoring import seed_spread as spread
from parler_assets.tts.scoring.asr import AsrUnavailable, GrammarAsr, grammar_of, slots
from parler_assets.tts.scoring.compare import CompareError, compare_scorecards
from parler_assets.tts.scoring.crossed import heard_by_held_out, held_out_score
from parler_assets.tts.scoring.features import features
from parler_assets.tts.scoring.judges import judge_samples
from parler_assets.tts.scoring.metrics import verdict
from parler_assets.tts.scoring.probe import Probe
from parler_assets.tts.scoring.sanity import sanity_scores
from parler_assets.tts.scoring.statistics import Missing, Score, bootstrap, mean, pearson, proportion, ratio, spearman
from parler_assets.tts.scoring.table import (
    check_thresholds,
    flat,
    learning_of,
    markdown,
    read_lines,
    worse_than_base,
    write_lines,
)
from parler_assets.tts.scoring.voices import Speakers
from parler_assets.tts.scoring.words import errors_of
from parler_assets.tts.synthesis.rates import RATES
from parler_assets.tts.synthesis.samples import SCHEMA
from parler_assets.tts.synthesis.sanity import is_silent, length_is_plausible
from tests.support.evaluation_samples import sample_rows, write_samples

TABLE = [[1, 3], [1, 4], [2, 2], [3, 3]]
KNOWN = Speakers({"Jerry": "male", "Talia": "female"}, {"Jerry": 110.0, "Talia": 220.0}, None)


def sample(prompt: str, system: str = "finetuned", **changes) -> dict:
    row = {
        "id": f"{system}/{prompt}",
        "system": system,
        "prompt": prompt,
        "speaker": "Jerry",
        "style": "happy",
        "rate": "quite fast",
        "kind": "grid",
        "attribute": None,
        "label": None,
        "text": "open the door",
        "speaking_rate": "quite fast",
        "rate_measured": 14.0,
        "utterance_pitch_mean": 112.0,
        "duration": 1.0,
        "seconds_to_generate": 0.5,
        "ended": True,
        "silent": False,
        "length_plausible": True,
        "transcript": "open the door",
        "word_errors": 0,
        "words": 3,
        "prominence": None,
        "features": [0.0],
    }
    return row | changes


# ------------------------------------------------------------------------------------------------------------ intervals


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Wilson's centre (p + z²/2n) / (1 + z²/n) and half width, z = 1.959964, worked out by hand
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (70, 100, 0.6042, 0.7811)],
)
def test_proportions_have_wilsons_interval(hits, n, low, high):
    score = proportion("hit", "finetuned", [True] * hits + [False] * (n - hits))
    assert isinstance(score, Score)
    assert (score.value, score.n) == (hits / n, n)
    assert (score.low, score.high) == pytest.approx((low, high), abs=5e-4)


def test_the_bootstrap_of_a_mean_is_close_to_its_standard_error():
    values = np.random.default_rng(3).normal(5, 2, 400)
    score = mean("seconds", "real", values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert isinstance(score, Score)
    assert (score.high - score.low) / 2 == pytest.approx(half, rel=0.15)
    assert mean("seconds", "real", values) == score, "the same samples give the same interval"


def test_what_cannot_be_scored_is_missing_and_never_zero():
    assert isinstance(proportion("hit", "base", []), Missing)
    assert isinstance(mean("seconds", "base", [1.0]), Missing)
    constant = bootstrap("rho", "base", [[1, 2], [1, 3], [1, 4]], spearman)
    assert isinstance(constant, Missing)
    assert "vary" in constant.reason


@pytest.mark.parametrize("kind", [spearman, pearson])
def test_correlations_of_known_tables(kind):
    rising = np.array([10, 20, 30])
    assert kind(np.array([1, 2, 3]), rising) == pytest.approx(1)
    many = kind(np.array([[1, 2, 3]] * 2), np.stack([rising, -rising]))
    assert many == pytest.approx([1, -1]), "many resamples at once"


def test_rank_correlation_shares_ranks_among_equals():
    found = spearman(np.array([1, 1, 2, 2]), np.array([1, 2, 3, 4]))  # ranks 1.5 1.5 3.5 3.5 against 1 2 3 4
    assert found == pytest.approx(4 / np.sqrt(4 * 5))


@pytest.mark.parametrize(
    ("statistic", "value", "low", "high"),
    # percentiles of 1,000 resamples that were drawn and counted by hand-written loops with the same seed
    [(ratio, 0.25, 0.0625, 0.4375), (spearman, -0.5, -1.0, 1.0)],
)
def test_intervals_stay_what_they_were(statistic, value, low, high):
    score = bootstrap("m", "base", [[1, 4], [0, 4], [2, 4], [1, 4]] if statistic is ratio else TABLE, statistic)
    assert isinstance(score, Score)
    assert (score.value, score.low, score.high) == pytest.approx((value, low, high))


# ------------------------------------------------------------------------------------------------------------ adherence


def test_rate_counts_exact_and_neighbouring_labels():
    rows = [
        sample("a"),
        sample("b", speaking_rate="very fast"),
        sample("c", speaking_rate="very slowly"),
        sample("d", speaking_rate=None),
    ]
    exact, near, _ = adherence.label_scores("finetuned", rows)
    assert (exact.value, near.value, exact.n) == pytest.approx((1 / 3, 2 / 3, 3))


def test_rate_that_follows_its_request_ranks_perfectly():
    rows = [sample(rate, rate=rate, rate_measured=5.0 + place) for place, rate in enumerate(RATES)]
    assert adherence.label_scores("finetuned", rows)[2].value == pytest.approx(1)
    assert adherence.monotonicity("finetuned", rows).value == 1


def test_monotonicity_compares_the_same_words_only():
    rows = [
        sample("a", rate="quite slowly", rate_measured=9.0),
        sample("b", rate="quite fast", rate_measured=12.0),
        sample("c", rate="quite fast", rate_measured=1.0, text="another text"),
    ]
    score = adherence.monotonicity("finetuned", rows)
    assert (score.value, score.n) == (1, 1)


def test_gender_and_pitch_of_the_named_speaker():
    rows = [
        sample("a"),
        sample("b", utterance_pitch_mean=224.0),
        sample("c", speaker="Talia", utterance_pitch_mean=220.0),
        sample("d", style="whisper", utterance_pitch_mean=None),
    ]
    gender = adherence.gender_score("finetuned", rows, KNOWN.genders)
    assert (gender.value, gender.n) == (pytest.approx(2 / 3), 3)
    _, error = adherence.pitch_scores("finetuned", rows, KNOWN.pitches)
    expected = np.mean([12 * np.log2(112 / 110), 12 * np.log2(224 / 110), 0])
    assert error.value == pytest.approx(expected)


def test_chance_is_near_a_guess():
    generator = np.random.default_rng(0)
    rows = [
        sample(str(i), rate=rate, speaking_rate=rate) for i, rate in enumerate(generator.choice(RATES, 700).tolist())
    ]
    exact, _, _ = adherence.label_scores("chance", adherence.shuffled(rows, ["rate"]))
    assert exact.low < 1 / 7 < exact.high


def test_confusion_counts_what_was_not_measured_apart():
    rows = [sample("a"), sample("b", speaking_rate="very fast"), sample("c", speaking_rate=None)]
    found = adherence.label_confusion(rows, "rate", "speaking_rate", RATES)
    assert np.sum(found["counts"]) == 2
    assert found["counts"][5][6] == 1
    assert found["unmeasured"] == 1


NOISE = adherence.Attribute("noise", "noise_asked", "noise", "noise_measured", ("noisy", "plain", "clear"))


def test_any_attribute_with_labels_is_scored_as_rate_is():
    labels = {"noise": NOISE.labels}
    assert [found.name for found in adherence.attributes(labels)] == ["rate", "noise"]
    rows = [
        sample("a", kind="quality", attribute="noise", label="noisy", noise="noisy", noise_measured=5.0),
        sample("b", kind="quality", attribute="noise", label="clear", noise="noisy", noise_measured=8.0),
        sample("c", noise="plain", noise_measured=30.0),
    ]
    asked = card.with_requests(rows, adherence.attributes(labels))
    assert [row["noise_asked"] for row in asked] == ["noisy", "clear", None]
    exact, near, _ = adherence.label_scores("finetuned", asked, NOISE)
    assert (exact.value, near.value, exact.n) == (0.5, 0.5, 2)
    assert adherence.monotonicity("finetuned", asked, NOISE).value == 1


# ------------------------------------------------------------------------------------------- emphasis, drift and spread


@pytest.mark.parametrize(
    ("text", "place"), [("the *old* dog", 1), ("*Stop* here", 0), ("no mark", None), ("one * star", None)]
)
def test_the_marked_word_is_found(text, place):
    assert emphasis.marked_place(text) == place


def test_louder_longer_higher_words_are_prominent():
    parts = [vowel(110, 0.7, 0.3), Clip(vowel(160, 0.7, 0.5).samples * 3, 16000), vowel(110, 0.7, 0.3)]
    clip = Clip(np.concatenate([part.samples for part in parts]), 16000)
    found = emphasis.prominence(clip, [(0, 0.3), (0.3, 0.8), (0.8, 1.1)], ["one", "two", "six"])
    assert found[1] > 1 > 0 > max(found[0], found[2])
    assert sum(found) == pytest.approx(0, abs=1e-9)


def test_emphasis_is_compared_with_the_same_words_unmarked():
    rows = [
        sample("a-1", kind="emphasis", text="open *the* door", prominence=[-0.5, 1.0, -0.5]),
        sample("b-1", kind="emphasis", text="open the door", prominence=[0.5, 0.0, -0.5]),
        sample("c-1", kind="emphasis", text="*open* the door", prominence=[-0.2, 0.1, 0.1]),
        sample("d-1", kind="emphasis", text="*shut* the door", prominence=None),
    ]
    stands, rises = emphasis.emphasis_scores("finetuned", rows)
    assert (stands.value, stands.n) == (0.5, 2)
    assert (rises.value, rises.n) == (0.5, 2)


def test_drift_compares_the_ends_of_long_samples():
    ends = {"first_features": [0.0], "last_features": [0.0], "first_level": -20.0, "last_level": -26.0}
    rows = [sample(str(n), kind="long", first_pitch=100.0, last_pitch=200.0, **ends) for n in range(3)]
    pitch, level, speaker = drift.drift_scores("finetuned", rows, None)
    assert (pitch.value, level.value) == (pytest.approx(12), pytest.approx(6))
    assert isinstance(speaker, Missing)
    assert isinstance(drift.long_word_errors("finetuned", []), Missing)
    only_one = Probe("speaker", np.zeros((4, 1)), ["Jerry"] * 4)
    *_, speaker = drift.drift_scores("finetuned", rows, only_one)
    assert isinstance(speaker, Missing)
    assert "fewer than two speakers" in speaker.reason


def test_thirds_of_a_rising_voice_are_measured_apart():
    rising = np.concatenate([vowel(pitch, 0.7, 0.7).samples for pitch in (110, 150, 200)])
    rows = [sample("a", kind="long"), sample("b", kind="grid")]
    long, short = drift.drift_parts(rows, [Clip(rising, 16000)] * 2, Annotation(), "cpu")
    assert (long["first_pitch"], long["last_pitch"]) == (pytest.approx(110, rel=0.05), pytest.approx(200, rel=0.05))
    assert short["first_features"] is None


def test_what_probes_read_is_the_same_without_the_annotators_of_rooms(monkeypatch):
    clips, settings = [vowel(110, 0.7, 0.7), vowel(200, 0.7, 0.5)], Annotation()
    whole = annotators.annotate(clips, ["open the door", ""], settings)
    monkeypatch.setattr(annotators, "_room", None)  # would fail if it were called
    part = annotators.annotate(clips, ["open the door", ""], settings, room=False)
    for name in ("utterance_pitch_mean", "utterance_pitch_std", "speaking_rate_a", "phonemes"):
        assert part[name].to_pylist() == whole[name].to_pylist()
    assert whole["utterance_pitch_mean"].null_count == whole["snr_a"].null_count == 0
    assert part["snr_a"].null_count == 2


def test_spread_is_over_the_seeds_of_one_prompt():
    rows = [
        sample(f"a{tail}", pitch_measured=pitch, speaker_hit=pitch < 150)
        for tail, pitch in (("", 100.0), ("-s1", 200.0), ("-s2", 100.0))
    ] + [sample(f"b{tail}", pitch_measured=120.0, speaker_hit=True) for tail in ("", "-s1", "-s2")]
    pitch, rate, every = spread.spread_scores("finetuned", rows)
    assert pitch.value == pytest.approx((12 / np.sqrt(3)) / 2)
    assert rate.value == 0
    assert (every.value, every.n) == (0.5, 2)
    assert isinstance(spread.spread_scores("base", rows[:1])[0], Missing)


# -------------------------------------------------------------------------------------------------- probes, grammar ASR


def vowel(pitch: float, brightness: float, seconds: float = 0.8, rate: int = 16000, seed: int = 0) -> Clip:
    """A buzz of harmonics falling off at `brightness` per harmonic, with a little noise and a slow swell."""
    time = np.arange(int(seconds * rate)) / rate
    sound = sum(brightness**k * np.sin(2 * np.pi * pitch * k * time) for k in range(1, 20))
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time + seed)
    return Clip((0.2 * sound * swell + noise).astype(np.float32), rate)


def test_probe_tells_voices_apart_and_guesses_on_shuffled_labels():
    kinds = {"dark": (110, 0.5), "bright": (210, 0.9)}
    named = [(name, vowel(*kinds[name], seed=seed)) for seed in range(12) for name in kinds]
    table = np.array([features(clip, {}) for _, clip in named])
    labels = [name for name, _ in named]
    probe = Probe("speaker", table[:12], labels[:12])
    assert probe.score("real", labels[12:], probe.predict(table[12:])).value == 1
    assert probe.chance == 0.5


def test_probe_of_one_class_is_missing():
    probe = Probe("style", np.zeros((4, 2)), ["happy"] * 4)
    assert isinstance(probe.score("real", ["happy"], probe.predict(np.zeros((1, 2)))), Missing)


def test_features_ignore_the_level():
    clip = vowel(120, 0.7)
    quiet = Clip(clip.samples * 0.1, clip.rate)
    assert features(clip, {}) == pytest.approx(features(quiet, {}), abs=1e-2)


@pytest.mark.parametrize(
    ("reference", "heard", "errors", "words"),
    [
        ("Open the door!", "open the door", 0, 3),
        ("open the door", "", 3, 3),
        ("open the door", "open a big door", 2, 3),
        ("...", "open", 1, 0),
    ],
)
def test_word_errors(reference, heard, errors, words):
    found = errors_of(reference, heard)
    assert (found["word_errors"], found["words"]) == (errors, words)
    assert found["equal"] + found["replaced"] + found["deleted"] == words


def test_grammar_lists_each_sentence_once():
    assert grammar_of(["Stop here.", "stop here", "Go on!"]).count("stop here") == 1


def test_sentences_of_one_pattern_make_a_grammar_of_its_places():
    pattern = [f"the {a} {b} sat" for a in ("old", "red", "big", "wet") for b in ("cat", "dog", "man")]
    assert slots(pattern) == [["the"], ["big", "old", "red", "wet"], ["cat", "dog", "man"], ["sat"]]
    assert "(big | old | red | wet) (cat | dog | man)" in grammar_of(pattern)
    assert slots([*pattern, "go on"]) is None
    assert slots(pattern[:3]) is None
    assert grammar_of(pattern, several=True).endswith("+;\n")


def test_the_grammar_asr_names_why_it_cannot_work():
    pytest.importorskip("pocketsphinx")
    with pytest.raises(AsrUnavailable, match="xyzzyq"):
        GrammarAsr(["open the door", "xyzzyq"])
    with pytest.raises(AsrUnavailable, match="1 distinct"):
        GrammarAsr(["open the door"])


def test_the_grammar_asr_knows_only_what_its_grammar_knows():
    pytest.importorskip("pocketsphinx")
    asr = GrammarAsr(["open the door", "the cat sat on the mat"])
    assert asr.transcribe(Clip(np.zeros(16000, np.float32), 16000)) in ("", "open the door", "the cat sat on the mat")


# --------------------------------------------------------------------------------------------------- sanity, scorecard


def test_silence_is_found_whatever_its_length():
    assert is_silent(Clip(np.zeros(24000, np.float32), 24000))
    assert is_silent(Clip(np.zeros(10, np.float32), 24000))
    assert not is_silent(vowel(120, 0.7))


@pytest.mark.parametrize(("seconds", "plausible"), [(0.1, False), (2.0, True), (30.0, False)])
def test_length_must_fit_the_text(seconds, plausible):
    assert length_is_plausible(seconds, "the rain fell all day long") is plausible


def test_real_clips_have_no_speed_of_generation():
    rows = [sample("a", "real", ended=None, seconds_to_generate=None)]
    assert {score.metric for score in sanity_scores("real", rows)} == {"silent", "length_plausible"}


def test_copies_are_asked_for_what_their_real_clip_measured():
    rows = [
        sample("c", "real", rate=None, kind="clip", speaking_rate="very slowly"),
        sample("c", "copy", rate=None, kind="clip", speaking_rate="quite slowly"),
    ]
    assert [row["rate"] for row in card.with_requests(rows)] == ["very slowly", "very slowly"]


def scored(rows: list[dict]) -> list[dict]:
    return card.with_hits(rows, {}, KNOWN) if rows else rows


def hit_rows(system: str, rate: str) -> list[dict]:
    rows = [sample(str(i), system, speaking_rate=rate) for i in range(12)]
    return [row | {"speaker_hit": None, "style_hit": None} for row in scored(rows)]


def test_paired_differences_flag_a_checkpoint_worse_than_its_base():
    rows = hit_rows("finetuned", "very slowly") + hit_rows("base", "quite fast")
    differences = [score.as_dict() for score in card.paired_differences(rows) if isinstance(score, Score)]
    assert worse_than_base(differences) == ["rate: within one label -1.00 [-1.00, -1.00]"]
    assert not worse_than_base([d | {"value": 0, "high": 0.5} for d in differences])


def made_card() -> dict:
    scores = [*adherence.label_scores("finetuned", [sample("a"), sample("b")]), proportion("silent", "real", [False])]
    return {
        "scores": [score.as_dict() for score in scores if isinstance(score, Score)],
        "missing": [vars(Missing("naturalness", "finetuned", "no weights"))],
        "differences": [],
        "worse_than_base": ["word_errors +1.00 [+0.50, +1.50]"],
    }


def test_markdown_names_what_is_missing_and_what_got_worse():
    text = markdown(made_card())
    assert "1.00 [0.34, 1.00]" in text
    assert "not scored: naturalness: no weights" in text
    assert "got worse" in text


def test_flat_numbers_carry_the_interval():
    numbers = flat(made_card())
    assert numbers["finetuned/rate_exact"] == 1
    assert numbers["finetuned/rate_exact_low"] == pytest.approx(0.342, abs=1e-3)
    assert all(isinstance(value, float) for value in numbers.values())


def test_thresholds_gate_what_is_too_low_too_high_or_missing():
    limits = Thresholds(rate_within_one=0.9, speaker_gender=0.9, word_error_rate=0.4)
    card_with_errors = made_card()
    card_with_errors["scores"].append(Score("word_error_rate", "finetuned", 0.7, 0.6, 0.8, 9).as_dict())
    failures = check_thresholds(card_with_errors, limits)
    assert [failure.split(":")[0] for failure in failures] == ["speaker_gender", "word_error_rate"]
    assert "not scored" in failures[0]
    assert check_thresholds(made_card(), Thresholds()) == []


def test_lines_carry_a_key_and_no_features(tmp_path):
    write_lines(tmp_path / "samples.jsonl", [sample("a", word_errors=1)])
    row = json.loads((tmp_path / "samples.jsonl").read_text())
    assert row["key"] == "finetuned/a"
    assert row["wer_grammar"] == pytest.approx(1 / 3)
    assert "features" not in row


def test_two_scorecards_are_compared_prompt_by_prompt(tmp_path):
    def write(name: str, rate: str, errors: int) -> None:
        rows = [row | {"speaker_hit": None, "style_hit": None} for row in hit_rows("finetuned", rate)]
        rows = [row | {"word_errors": errors, "prompt": f"p{place}"} for place, row in enumerate(rows)]
        write_lines(tmp_path / name / "samples.jsonl", rows)

    write("old", "very slowly", 2)
    write("new", "quite fast", 0)
    found = compare_scorecards(tmp_path / "new", tmp_path / "old")
    assert found.prompts == 12
    assert found.verdicts["rate_within_one"] == "better"
    assert found.verdicts["word_errors"] == "better"
    assert found.verdicts["gender_hit"] == "no difference seen"
    assert "words wrong in a sample (grammar) | -2.000 | [-2.000, -2.000] | 12 | better" in found.markdown()
    with pytest.raises(CompareError, match=r"missing; materialize"):
        compare_scorecards(tmp_path / "new", tmp_path / "nowhere")


def test_a_probe_of_held_out_clips_stands_beside_one_of_training_clips():
    generator = np.random.default_rng(0)
    places = {"Jerry": 0.0, "Talia": 4.0}

    def heard(source: str, trained: tuple) -> list[dict]:
        rows = [
            sample(f"c{n}-{name}", system, speaker=name, kind="clip", features=generator.normal(place, 0.5, 3).tolist())
            for system in ("real", "copy")
            for name, place in places.items()
            for n in range(12)
        ]
        rows += [sample(f"p{n}", "finetuned", speaker="Talia", features=[0.0, 0.0, 0.0]) for n in range(4)]
        probe = Probe("speaker", *trained, source)
        return heard_by_held_out(rows, {"speaker": probe})

    trained = (generator.normal(0, 1, (20, 3)), ["Jerry", "Talia"] * 10)
    rows = heard("training clips: fewer than 8 of a cell are held out", trained)
    for system, value in (("real", 1.0), ("copy", 1.0), ("finetuned", 0.0)):
        [score] = held_out_score(system, "speaker", [row for row in rows if row["system"] == system])
        assert isinstance(score, Score)
        assert (score.metric, score.value) == ("speaker_held_out", value)
    rows = heard("held-out clips", trained)
    assert not held_out_score("copy", "speaker", [row for row in rows if row["system"] == "copy"])


def test_a_scorecard_says_that_its_probes_learnt_from_training_clips():
    note = "2 classes, chance 0.50, learnt from training clips: fewer than 8 of a cell are held out"
    card = {"scores": [Score("style_probe", "finetuned", 0.5, 0.4, 0.6, 9, note).as_dict()]}
    [line] = learning_of(card)
    assert "training clips: fewer than 8 of a cell are held out**" in line
    card["scores"][0]["note"] = "2 classes, chance 0.50, learnt from held-out clips"
    assert not learning_of(card)


SENTENCES = ["open the door and wait", "go on and sit down"]
MEASURING = (Annotation(pitch="praat", room="classical"), {"Jerry": "male", "Talia": "female"}, None, SENTENCES)


def test_the_asr_is_spared_most_of_a_large_grid(tmp_path):
    pytest.importorskip("pocketsphinx")
    rows = [row for row in sample_rows(("happy",)) if row["system"] != "real"]
    write_samples(tmp_path / "samples", rows)
    found = {}
    for most in (4, None):
        stage = measure.measure_samples(tmp_path / "samples", tmp_path / f"{most}", *MEASURING, most=most)
        done = [row["id"] for row in storage.read(stage.folder).to_pylist() if row["transcript"] is not None]
        found[most] = [name.split("/", 1) for name in done]
    assert len(found[None]) == len(rows)
    assert len(found[4]) == 4 + 4 + 2
    assert [p for system, p in found[4] if system == "base"] == [p for system, p in found[4] if system == "finetuned"]


def test_samples_made_before_are_measured_by_todays_names(tmp_path):
    rows = [row for row in sample_rows(("happy",)) if row["system"] == "finetuned"][:2]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    old = table.rename_columns(["stopped" if name == "ended" else name for name in table.column_names])
    storage.build(tmp_path / "samples", "samples", 1, lambda _: Part(old))
    stage = measure.measure_samples(tmp_path / "samples", tmp_path / "measured", *MEASURING)
    assert storage.read(stage.folder)["ended"].to_pylist() == [True, True]
    (tmp_path / "old.jsonl").write_text(json.dumps({"key": "a", "stopped": True, "grammar_hyp_text": "go on"}))
    assert read_lines(tmp_path / "old.jsonl") == [{"id": "a", "ended": True, "transcript": "go on"}]


def test_samples_of_a_checkpoint_that_stayed_are_not_measured_again(tmp_path, monkeypatch):
    rows = [row for row in sample_rows(styles=("happy",)) if row["system"] in ("base", "finetuned", "copy")]
    write_samples(tmp_path / "samples", rows)
    first = storage.read(measure.measure_samples(tmp_path / "samples", tmp_path / "measured", *MEASURING).folder)
    new = [{**row, "audio": rows[0]["audio"]} if row["system"] == "finetuned" else row for row in rows]
    write_samples(tmp_path / "newer", new)
    (tmp_path / "measured" / "part-00009-broken.parquet").write_bytes(b"PAR1")  # is passed over
    tagged: list[int] = []
    annotate = annotators.annotate

    def counted(clips, texts, *rest, **options):
        tagged.append(sum(map(bool, texts)))  # thirds of long samples have no text
        return annotate(clips, texts, *rest, **options)

    monkeypatch.setattr(annotators, "annotate", counted)
    second = storage.read(measure.measure_samples(tmp_path / "newer", tmp_path / "measured", *MEASURING).folder)
    changed = [row["id"] for row, old in zip(new, rows, strict=True) if row["audio"] != old["audio"]]
    assert sum(tagged) == len(changed)
    fresh = storage.read(measure.measure_samples(tmp_path / "newer", tmp_path / "fresh", *MEASURING).folder)
    assert sum(tagged) == len(changed) + len(rows)
    assert second.to_pylist() == fresh.to_pylist() != first.to_pylist()


def test_judges_that_are_not_here_say_why(tmp_path, monkeypatch):
    monkeypatch.delenv("PARLER_WEIGHTS", raising=False)
    rows = sample_rows(("happy",))
    write_samples(tmp_path / "samples", rows)

    def reasons(**changes) -> dict[str, str]:
        settings = Evaluation(speakers=["Jerry"], styles=["happy"], recogniser=str(tmp_path), **changes)
        return judge_samples(tmp_path / "samples", rows, tmp_path / "judged", settings)[1]

    found = reasons()
    assert "PARLER_WEIGHTS" in found["squim_stoi"]
    assert "cannot be loaded here" in found["word_error_rate_open"]
    assert set(found) >= {"squim_pesq", "squim_si_sdr"}
    assert "evaluation.judged" in reasons(judged=0)["distillmos"]


@pytest.mark.parametrize(
    ("metric", "low", "high", "found"),
    [
        ("style_hit", 0.1, 0.2, "better"),
        ("style_hit", -0.2, -0.1, "worse"),
        ("word_errors", 0.1, 0.2, "worse"),
        ("word_errors", -0.2, -0.1, "better"),
        ("word_errors", -0.2, 0.1, ""),
        ("style_hit", 0.0, 0.2, ""),
    ],
)
def test_a_difference_counts_where_its_whole_interval_is_on_one_side(metric, low, high, found):
    assert verdict(metric, low, high) == found
