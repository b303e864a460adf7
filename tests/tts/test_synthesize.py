"""Prompts and samples: what is asked, in which order, resumed after a crash; then measured and scored end to end.

The checkpoint, the codec and the annotators are stood in for by small ones that follow what they are asked: here the
order, the pairing and the bookkeeping are tested, in seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from parler_assets import storage
from parler_assets.recipe import Annotation, Describing, Evaluation
from parler_assets.speech.audio import decode, encode
from parler_assets.storage import Part
from parler_assets.tts.base import checkpoint_digest
from parler_assets.tts.data.codes_file import SCHEMA, naming, write_codes
from parler_assets.tts.inputs import InputChanged
from parler_assets.tts.scoring.stage import score_samples
from parler_assets.tts.synthesis.prompts import PromptError, base_id, evaluation_prompts, marked, with_phrase
from parler_assets.tts.synthesis.rates import RATES
from parler_assets.tts.synthesis.samples import synthesize_samples
from parler_assets.tts.synthesis.voice import Utterance
from tests.support.evaluation_samples import PITCHES, buzz
from tests.support.stored_files import DAMAGES

TEXTS = ["open the door", "the cat sat on the mat", "rain fell all day"]
STYLES = ["happy", "sad"]
GRID = {"graded": [], "emphasis": 0, "quality": 0, "long_sentences": 0}
SETTINGS = Evaluation(
    speakers=list(PITCHES), styles=STYLES, rates=["quite slowly", "quite fast"], batch_size=4, max_seconds=4, **GRID
)


def describe(attributes, settings=None, variant=0) -> str:
    return "{name} speaks {speaking_rate} in a {style} voice, {noise}.".format(**attributes)


# -------------------------------------------------------------------------------------------------------------- prompts


def test_every_cell_is_asked_for_with_a_unique_and_lasting_id():
    prompts = evaluation_prompts(SETTINGS, TEXTS, describe)
    assert len(prompts) == len({prompt.id for prompt in prompts}) == 2 * 2 * 2
    fewer = evaluation_prompts(SETTINGS.model_copy(update={"rates": ["quite fast"]}), TEXTS, describe)
    assert {prompt.id for prompt in fewer} < {prompt.id for prompt in prompts}
    assert all(prompt.speaker in prompt.description and prompt.rate in prompt.description for prompt in prompts)


def test_rates_of_a_cell_share_their_text_and_cells_take_turns():
    prompts = evaluation_prompts(SETTINGS, TEXTS, describe)
    by_cell = {
        (p.speaker, p.style): {q.text for q in prompts if (q.speaker, q.style) == (p.speaker, p.style)} for p in prompts
    }
    assert all(len(texts) == 1 for texts in by_cell.values())
    assert {text for texts in by_cell.values() for text in texts} == set(TEXTS)


def test_more_texts_than_there_are_means_all_of_them_once():
    prompts = evaluation_prompts(SETTINGS.model_copy(update={"texts_per_cell": 9}), TEXTS, describe)
    assert len(prompts) == 2 * 2 * 2 * len(TEXTS)


def test_no_text_to_speak_names_the_setting():
    with pytest.raises(PromptError, match=r"evaluation\.texts"):
        evaluation_prompts(SETTINGS, [" "], describe)


def asked_for(**changes) -> list:
    return evaluation_prompts(SETTINGS.model_copy(update=changes), TEXTS, describe)


def test_degrees_are_asked_on_the_same_words():
    graded = [prompt for prompt in asked_for(graded=["speaking_rate"]) if prompt.kind == "graded"]
    assert [prompt.rate for prompt in graded if prompt.speaker == "Jerry"] == list(RATES)
    assert len({(prompt.text, prompt.style) for prompt in graded if prompt.speaker == "Jerry"}) == 1
    assert all(prompt.rate in prompt.description for prompt in graded)


def test_degrees_of_other_attributes_need_labels_and_a_phrase():
    with pytest.raises(PromptError, match="pitch has no labels"):
        asked_for(graded=["pitch"])
    settings = SETTINGS.model_copy(update={"graded": ["pitch"]})
    prompts = evaluation_prompts(settings, TEXTS, describe, {"pitch": ["low pitch", "high pitch"]})
    descriptions = [prompt.description for prompt in prompts if prompt.kind == "graded" and prompt.speaker == "Talia"]
    assert descriptions[1] == "Talia speaks moderate speed in a happy voice, very clear, with high pitch."


def test_marks_and_recording_quality_come_in_pairs():
    prompts = asked_for(emphasis=1, quality=1)
    marks = [p.text for p in prompts if p.kind == "emphasis" and p.speaker == "Jerry"]
    assert marks == ["*open* the door", "open the door"]
    quality = [p.description for p in prompts if p.kind == "quality" and p.speaker == "Jerry"]
    assert [("very noisy" in text, "very clear" in text) for text in quality] == [(True, False), (False, True)]


def test_a_long_text_is_several_sentences():
    (jerry, _) = [prompt for prompt in asked_for(long_sentences=2) if prompt.kind == "long"]
    assert jerry.text == "open the door. the cat sat on the mat."


def test_every_seed_is_its_own_and_does_not_move_when_prompts_are_added():
    prompts = asked_for(seeds=3)
    assert len({prompt.seed for prompt in prompts}) == len(prompts) == 24
    assert len({base_id(prompt.id) for prompt in prompts}) == 8
    more = {prompt.id: prompt.seed for prompt in asked_for(seeds=4, graded=["speaking_rate"])}
    assert all(more[prompt.id] == prompt.seed for prompt in prompts)


@pytest.mark.parametrize(
    ("text", "turn", "expected"),
    [("Is it?", 0, "*Is* it?"), ("Well, go on!", 0, "*Well*, go on!"), ("Well, stop there!", 2, "Well, stop *there*!")],
)
def test_a_mark_goes_around_the_word_and_not_its_punctuation(text, turn, expected):
    assert marked(text, turn) == expected


def test_a_phrase_is_added_only_where_the_description_lacks_it():
    assert with_phrase("He mumbles.", "noise", "very noisy") == "He mumbles, with very noisy audio."
    said = with_phrase("He mumbles, and the audio is of high quality.", "noise", "very noisy")
    assert said == "He mumbles, with very noisy audio."
    assert with_phrase("He mumbles, very noisy.", "noise", "very noisy") == "He mumbles, very noisy."


# ------------------------------------------------------------------------------------------------------------ stand-ins


class ObedientVoice:
    """Speaks at the pitch of the speaker and as long as the rate asks; records its batches."""

    batches: list = []  # noqa: RUF012

    def __init__(self, checkpoint, device="cpu", precision="auto") -> None:
        self.obeys = checkpoint.name == "finetuned"

    def speak_each(self, texts, descriptions, settings, seed):
        assert len(seed) == len(texts)
        ObedientVoice.batches.append((seed, list(texts)))
        for place, (text, description) in enumerate(zip(texts, descriptions, strict=True)):
            pitch = PITCHES[description.split()[0]] if self.obeys else 150.0
            seconds = 1.0 if "fast" in description else 2.0
            yield place, Utterance(buzz(pitch, seconds, seed=len(text)), 16000, 0.1, True)


@dataclass
class BuzzCodec:
    """Codes are a pitch and a length: enough to come back as the clip they came from."""

    sampling_rate: int = 16000

    def decode(self, codes):
        return [buzz(float(clip[0, 0]), clip.shape[1] / 50) for clip in codes]


def annotate(clips, texts, settings, device="cpu", *, room=True) -> pa.Table:
    from parler_assets.tts.scoring.contour import pitch_contour

    pitches = [contour[contour > 0] for contour in map(pitch_contour, clips)]
    rates = [len(text) / clip.seconds for text, clip in zip(texts, clips, strict=True)]
    means = [float(np.median(pitch)) if len(pitch) else None for pitch in pitches]
    return pa.table(
        {"speaking_rate_a": rates, "utterance_pitch_mean": means, "utterance_pitch_std": [1.0] * len(clips)}
    )


def bin_table(table: pa.Table, facts: dict) -> pa.Table:
    steps = np.digitize(table["speaking_rate_a"].to_numpy(), facts["edges"])
    return table.append_column("speaking_rate", pa.array([RATES[step] for step in steps]))


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A finished training set, raw clips and bins, with stand-ins for the networks."""
    ObedientVoice.batches = []
    stand_ins = {
        "descriptions.describe_attributes": describe,
        "codec.codec.load_codec": lambda *_: BuzzCodec(),
        "annotation.stage.annotate": annotate,
        "binning.bins.bin_table": bin_table,
    }
    for name, member in stand_ins.items():
        monkeypatch.setattr(f"parler_assets.speech.{name}", member)
    monkeypatch.setattr("parler_assets.tts.synthesis.voice.Voice", ObedientVoice)
    for name in ("base", "finetuned"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(
            json.dumps({"audio_encoder": {"sampling_rate": 16000}, "is": name})
        )
    write_corpus(tmp_path)
    return tmp_path


def write_corpus(folder) -> None:
    cells = [(speaker, style, text) for speaker in PITCHES for style in STYLES for text in TEXTS * 2]
    rows = [
        {
            "id": f"clip{place:02d}",
            "corpus": "studio",
            "speaker": speaker,
            "style": style,
            "text": text,
            "description": f"{speaker} speaks",
            "duration": 1.5 if style == "happy" else 2.5,
            "gender": "male" if speaker == "Jerry" else "female",
            "utterance_pitch_mean": PITCHES[speaker],
        }
        for place, (speaker, style, text) in enumerate(cells)
    ]
    sounds = [encode(buzz(PITCHES[row["speaker"]], row["duration"]), 16000) for row in rows]
    raw = pa.table({"id": [row["id"] for row in rows], "audio": sounds})
    storage.build(folder / "raw", "raw", 1, lambda _: Part(raw))
    bins = pa.Table.from_pylist(rows)
    storage.build(folder / "bins", "bins", 1, lambda _: Part(bins), facts=lambda: {"edges": [6, 7, 8, 9, 10, 11]})
    splits = {"train": [r for i, r in enumerate(rows) if i % 3], "held_out": rows[::3]}

    def make(index: int) -> Part:
        name = list(splits)[index]
        chosen = splits[name]
        codes = [np.full((round(row["duration"] * 50), 2), PITCHES[row["speaker"]], np.uint16) for row in chosen]
        frames = [len(clip) for clip in codes]
        made = {"frames": frames, "offset": np.cumsum([0, *frames])[:-1].tolist()}
        table = [
            {**row, "weight": 1.0, "prompt_ids": [], "description_ids": [], **{k: made[k][i] for k in made}}
            for i, row in enumerate(chosen)
        ]
        file = write_codes(folder / "set", name, codes, 2)
        return Part(pa.Table.from_pylist(table, schema=naming(SCHEMA, file)))

    storage.build(folder / "set", "set", 2, make)


def samples_of(workshop, **changes):
    return synthesize_samples(
        workshop / "finetuned",
        workshop / "base",
        workshop / "set",
        {"studio": workshop / "raw"},
        workshop / "samples",
        SETTINGS.model_copy(update=changes),
        Describing(),
    )


def scores_of(workshop):
    places = [workshop / name for name in ("samples", "set")]
    folder, base = workshop / "card", workshop / "base"
    return score_samples(*places, [workshop / "bins"], base, folder, Annotation(), SETTINGS)


# -------------------------------------------------------------------------------------------------------------- samples


def test_four_systems_are_paired(workshop):
    result = samples_of(workshop)
    rows = storage.read(result.folder).to_pylist()
    by_system = {s: {r["prompt"]: r for r in rows if r["system"] == s} for s in ("real", "copy", "base", "finetuned")}
    assert by_system["finetuned"].keys() == by_system["base"].keys()
    assert by_system["real"].keys() == by_system["copy"].keys()
    assert len(by_system["finetuned"]) == 8
    assert all(by_system["base"][p]["seed"] == row["seed"] for p, row in by_system["finetuned"].items())
    assert {row["kind"] for row in rows} == {"grid", "clip"}
    assert all(decode(row["audio"]).seconds == pytest.approx(row["duration"]) for row in rows)


def test_nothing_is_generated_twice_and_a_changed_temperature_is(workshop):
    samples_of(workshop)
    batches = len(ObedientVoice.batches)
    assert samples_of(workshop).reused
    assert len(ObedientVoice.batches) == batches == 4
    assert not samples_of(workshop, temperature=0.7).reused


def test_a_killed_run_continues_at_the_missing_batch(workshop, monkeypatch):
    speak = ObedientVoice.speak_each

    def fail(self, *arguments):
        if len(ObedientVoice.batches) == 3:
            raise KeyboardInterrupt
        return speak(self, *arguments)

    monkeypatch.setattr(ObedientVoice, "speak_each", fail)
    with pytest.raises(KeyboardInterrupt):
        samples_of(workshop)
    monkeypatch.setattr(ObedientVoice, "speak_each", speak)
    samples_of(workshop)
    assert len(ObedientVoice.batches) == 4


@pytest.mark.parametrize("damage", [None, *DAMAGES])
def test_a_kill_within_a_batch_loses_only_what_had_not_ended(workshop, monkeypatch, damage):
    speak = ObedientVoice.speak_each

    def fail(self, *arguments):
        for place, said in speak(self, *arguments):
            if len(ObedientVoice.batches) == 3 and place == 2:
                raise KeyboardInterrupt
            yield place, said

    monkeypatch.setattr(ObedientVoice, "speak_each", fail)
    with pytest.raises(KeyboardInterrupt):
        samples_of(workshop)
    kept = [*(workshop / "samples").glob("part-sample-*.parquet")]
    assert len(kept) == 2
    if damage:
        DAMAGES[damage](kept[0])
    monkeypatch.setattr(ObedientVoice, "speak_each", speak)
    samples_of(workshop)
    assert [len(texts) for _, texts in ObedientVoice.batches] == [4, 4, 4, 3 if damage else 2, 4]
    assert not [*(workshop / "samples").glob("part-sample-*")]


def test_samples_of_a_smaller_recipe_are_taken_over_one_by_one(workshop):
    samples_of(workshop)
    before = {row["id"]: row["audio"] for row in storage.read(workshop / "samples").to_pylist()}
    ObedientVoice.batches = []
    samples_of(workshop, rates=["quite slowly", "moderate speed", "quite fast"])
    assert sorted(len(texts) for _, texts in ObedientVoice.batches) == [4, 4], "only the four new prompts of each"
    after = {row["id"]: row["audio"] for row in storage.read(workshop / "samples").to_pylist()}
    assert len(after) == len(before) + 8
    assert before.items() <= after.items()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("more", "new"), [({}, 0), ({"rates": ["quite slowly", "moderate speed", "quite fast"]}, 8)])
def test_a_damaged_shard_costs_its_own_samples(workshop, damage, more, new):
    first = samples_of(workshop)
    before = {row["id"]: row["audio"] for row in storage.read(first.folder).to_pylist()}
    DAMAGES[damage](first.folder / first.manifest.shards[-1].file)
    ObedientVoice.batches = []
    samples_of(workshop, **more)
    assert sum(len(texts) for _, texts in ObedientVoice.batches) == new + 4, "the new ones, and those of the shard"
    after = {row["id"]: row["audio"] for row in storage.read(first.folder).to_pylist()}
    assert before.items() <= after.items()


def test_rows_of_a_half_finished_run_with_other_settings_are_found_too(workshop, monkeypatch):
    speak = ObedientVoice.speak_each

    def fail(self, *arguments):
        if len(ObedientVoice.batches) == 2:
            raise KeyboardInterrupt
        return speak(self, *arguments)

    monkeypatch.setattr(ObedientVoice, "speak_each", fail)
    with pytest.raises(KeyboardInterrupt):
        samples_of(workshop)
    monkeypatch.setattr(ObedientVoice, "speak_each", speak)
    samples_of(workshop, batch_size=3)
    assert sum(len(texts) for _, texts in ObedientVoice.batches) == 16


def replaced(folder, name: str) -> None:
    """Another training has written its checkpoint there."""
    config = json.loads((folder / name / "config.json").read_text())
    (folder / name / "config.json").write_text(json.dumps(config | {"trained": "again"}))


def test_a_result_names_the_checkpoints_it_was_made_from(workshop):
    facts = samples_of(workshop).manifest.facts
    assert facts["checkpoint"] == checkpoint_digest(workshop / "finetuned") != facts["base"]
    assert scores_of(workshop).card["checkpoint"] == facts["checkpoint"]
    replaced(workshop, "finetuned")
    assert samples_of(workshop).manifest.facts["checkpoint"] == checkpoint_digest(workshop / "finetuned")


@pytest.mark.parametrize("when", ["while it is loaded", "while it speaks", "at the end", "removed"])
def test_a_checkpoint_that_is_replaced_meanwhile_gives_no_samples(workshop, monkeypatch, when):
    start, speak = ObedientVoice.__init__, ObedientVoice.speak_each

    def loading(self, checkpoint, device="cpu", precision="auto"):
        start(self, checkpoint, device)
        if when == "while it is loaded" and self.obeys:
            replaced(workshop, "finetuned")

    def speaking(self, *arguments):
        yield from speak(self, *arguments)
        last = len(ObedientVoice.batches) == 4
        if self.obeys and (when == "while it speaks" or (when == "at the end" and last)):
            replaced(workshop, "finetuned")
        if when == "removed" and last:
            (workshop / "finetuned").rename(workshop / "gone")

    monkeypatch.setattr(ObedientVoice, "__init__", loading)
    monkeypatch.setattr(ObedientVoice, "speak_each", speaking)
    with pytest.raises(InputChanged, match="finetuned: was replaced while it was read"):
        samples_of(workshop)
    assert not (workshop / "samples" / "manifest.json").exists()
    if when == "while it is loaded":
        assert len(ObedientVoice.batches) == 2, "nothing is spoken with weights of unknown origin"
    if when == "removed":
        (workshop / "gone").rename(workshop / "finetuned")
    monkeypatch.setattr(ObedientVoice, "__init__", start)
    monkeypatch.setattr(ObedientVoice, "speak_each", speak)
    ObedientVoice.batches = []
    result = samples_of(workshop)
    assert result.manifest.facts["checkpoint"] == checkpoint_digest(workshop / "finetuned")
    assert len(ObedientVoice.batches) == (0 if when == "removed" else 2), "the base's are kept, and what is still true"


def test_a_stage_that_is_replaced_while_it_is_scored_gives_no_scorecard(workshop, monkeypatch):
    from parler_assets.speech.annotation import stage

    samples_of(workshop)

    def rebinned(*arguments, **options):
        storage.build(workshop / "bins", "other", 1, lambda _: Part(pa.table({"speaker": ["Jerry"]})))
        return annotate(*arguments, **options)

    monkeypatch.setattr(stage, "annotate", rebinned)
    with pytest.raises(InputChanged, match="bins: was replaced while it was read"):
        scores_of(workshop)
    assert not (workshop / "card" / "scorecard.json").exists()


def test_a_checkpoint_that_says_nothing_is_set_aside(workshop, monkeypatch):
    mute = Utterance(np.zeros(0, np.float32), 16000, 0.1, True)
    monkeypatch.setattr(ObedientVoice, "speak_each", lambda self, texts, *_: ((n, mute) for n in range(len(texts))))
    result = samples_of(workshop)
    assert len(result.manifest.set_aside) == 16
    assert "no audio" in result.manifest.set_aside[0].reason


# --------------------------------------------------------------------------------------------------------------- scores


def test_an_obedient_checkpoint_scores_high_and_its_base_at_chance(workshop):
    samples_of(workshop)
    samples = workshop / "samples"
    scores = scores_of(workshop)
    numbers = scores.numbers
    assert numbers["finetuned/speaker_gender"] == 1
    assert numbers["base/speaker_gender"] == 0.5
    assert numbers["finetuned/rate_monotone"] == 1
    assert numbers["real/rate_exact"] == 1
    assert numbers["copy/rate_exact"] == 1
    assert numbers["finetuned/speaker_probe"] == 1
    assert numbers["finetuned/silent"] == 0
    missing = {entry["metric"]: entry["reason"] for entry in scores.card["missing"]}
    assert "evaluation.recogniser" in missing["word_error_rate_open"]
    assert "PARLER_WEIGHTS" in missing["squim_pesq"]
    assert "evaluation.seeds" in missing["speaker_every_seed"]
    assert scores.card["cost"]["samples"] == storage.read_manifest(samples).rows
    assert scores.card["cost"]["generation_seconds"] == pytest.approx(1.6)
    again = scores_of(workshop)
    assert again.reused
    assert again.digest == scores.digest
    assert len((workshop / "card" / "samples.jsonl").read_text().splitlines()) == storage.read_manifest(samples).rows
