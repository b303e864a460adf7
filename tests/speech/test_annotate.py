"""Tags of whole corpora, their export in DataSpeech's layout, and a folder annotated on its own."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import time
from contextlib import nullcontext
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from parler_assets import storage
from parler_assets.assets.corpus import continuous_tags, raw_dataset
from parler_assets.cli.app import app
from parler_assets.hub.errors import AnnotatorError
from parler_assets.recipe import Annotation, Binning, Corpus, FolderSource, Recipe, Shards, load_recipe
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.settings import settings_resource
from parler_assets.resources.workspace import Workspace
from parler_assets.speech import audits
from parler_assets.speech.annotate_folder import annotate_folder
from parler_assets.speech.annotation import stage, workers
from parler_assets.speech.annotation.networks.fcnf0 import Fcnf0
from parler_assets.speech.annotation.praat import Praat
from parler_assets.speech.annotation.stage import annotate, loaded_until_here, tag_corpus
from parler_assets.speech.audio import Clip
from parler_assets.speech.binning.bins import bin_corpus
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.speech.dataspeech_export import dataspeech_table, export
from parler_assets.speech.plots import bin_plots, grouped
from parler_assets.storage import read_manifest
from tests.support.golden_weights import fill, sound

MEASURED = ("speech_duration", "speaking_rate_a", "speaking_rate_b", "utterance_pitch_mean", "utterance_pitch_std")
MEASURED += ("snr_a", "snr_b", "c50_a", "c50_b")
CLASSICAL = Annotation()


def clip(seconds: float = 1.5, rate: int = 16000, seed: int = 0) -> Clip:
    return Clip(sound(seconds, rate, seed), rate)


def measured(clips: list[Clip], texts: list[str] | None = None, settings: Annotation = CLASSICAL) -> list[dict]:
    return annotate(clips, texts or ["hello there"] * len(clips), settings).to_pylist()


# ---------------------------------------------------------------------------------------------------------------- tags


def test_every_measurement_of_an_ordinary_clip():
    (row,) = measured([clip()])
    assert all(row[name] is not None for name in MEASURED)
    assert row["note"] is None
    assert (row["stoi"], row["si_sdr"], row["pesq"]) == (None, None, None)


def test_rates_are_characters_over_seconds():
    (row,) = measured([clip(1.5)], ["Why do you make me do these examples? They're *so* generic."])
    assert len(row["phonemes"]) == 59
    assert row["speaking_rate_a"] == pytest.approx(59 / 1.5)
    assert row["speaking_rate_b"] == pytest.approx(59 / row["speech_duration"])
    (row,) = measured([clip(1.5)], ["don't"], CLASSICAL.model_copy(update={"phonemes": "since_2_2"}))
    assert row["speaking_rate_a"] == pytest.approx(5 / 1.5)


@pytest.mark.parametrize(
    ("bad", "note"),
    [
        (Clip(np.zeros(16000, np.float32), 16000), "silent"),
        (Clip(np.full(16000, 0.2, np.float32), 16000), "silent"),
        (Clip(np.zeros(0, np.float32), 16000), "too short to measure: 0 ms"),
        (clip(0.01), "too short to measure: 10 ms"),
    ],
)
def test_what_cannot_be_measured_is_empty_with_a_reason_and_spoils_nothing(bad, note):
    good = measured([clip()])
    rows = measured([bad, clip(), bad])
    assert rows[1] == good[0]
    for row in (rows[0], rows[2]):
        assert note in row["note"]
        assert all(row[name] is None for name in MEASURED)


@pytest.mark.parametrize("text", ["", "42", "😀", "...", "日本語"])
def test_without_an_english_word_there_is_no_rate(text):
    (row,) = measured([clip()], [text])
    assert (row["speaking_rate_a"], row["speaking_rate_b"]) == (None, None)
    assert "no English word" in row["note"]
    assert row["snr_a"] is not None


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 192000])
def test_sampling_rates_agree(rate):
    (reference,), (row,) = measured([clip()]), measured([Clip(clip().at(rate).samples, rate)])
    assert row["utterance_pitch_mean"] == pytest.approx(reference["utterance_pitch_mean"], rel=0.01)
    assert row["snr_a"] == pytest.approx(reference["snr_a"], abs=4)


def test_loudness_does_not_matter():
    loud, quiet = measured([clip(), Clip(clip().samples * 0.1, 16000)])
    for name in ("utterance_pitch_mean", "snr_a", "c50_a"):
        assert quiet[name] == pytest.approx(loud[name], rel=0.02)


def test_nothing_to_annotate():
    assert annotate([], [], CLASSICAL).num_rows == 0


# ------------------------------------------------------------------------------------------------------------- corpora


@pytest.fixture
def recordings(tmp_path) -> Path:
    """Two speakers, one clip that is silent, one that is no audio, one speaker unknown."""
    folder = tmp_path / "voices"
    folder.mkdir()
    lines = ["file_name,text,speaker_id,gender"]
    for index in range(9):
        soundfile.write(folder / f"{index}.wav", sound(1.0 + index / 10, seed=index), 16000)
        speaker = ("ann,female", "ben,male", ",")[index % 3]
        lines.append(f"{index}.wav,{'The cat sat here. ' * (1 + index % 3)},{speaker}")
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    lines += ["silent.wav,hello,ann,female", "broken.wav,hello,ben,male"]
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder


def lane(recordings: Path, folder: Path, rows: int = 4, settings: Annotation = CLASSICAL):
    corpus = Corpus(source=FolderSource(kind="folder", path=recordings))
    raw = build_raw_dataset(corpus, folder / "raw", Shards(rows=rows), folder / "cache")
    return raw, tag_corpus(raw.folder, folder / "tags", settings)


def test_tags_follow_raw_rows(recordings, tmp_path):
    raw, tags = lane(recordings, tmp_path)
    assert not audits.complete(tags.folder, raw.folder)
    assert not audits.plausible(tags.folder)
    table = storage.read(tags.folder)
    assert table["id"].to_pylist() == storage.read(raw.folder, ["id"])["id"].to_pylist()
    assert "audio" not in table.column_names
    assert table.schema.field("utterance_pitch_mean").type == pa.float32()


def test_shard_size_and_batches_change_no_number(recordings, tmp_path):
    _, one = lane(recordings, tmp_path / "one", rows=2)
    _, other = lane(recordings, tmp_path / "other", rows=100, settings=Annotation(batch_seconds=1))
    assert storage.read(one.folder).equals(storage.read(other.folder))


def test_the_era_alone_measures_nothing_again(recordings, tmp_path):
    """Both eras are kept, so that changing it only bins again."""
    raw, _ = lane(recordings, tmp_path)
    assert tag_corpus(raw.folder, tmp_path / "tags", Annotation(era="b")).reused
    assert not tag_corpus(raw.folder, tmp_path / "tags", Annotation(phonemes="since_2_2")).reused


def test_sigkill_at_random_moments_changes_no_bit(recordings, tmp_path):
    """Tagging is killed again and again after random times and goes on each time; the seed is printed on failure."""
    seed = int(os.environ.get("PARLER_SEED") or time.time_ns() % 10**6)
    print(f"PARLER_SEED={seed}")
    raw, whole = lane(recordings, tmp_path / "whole", rows=1)
    chance, folder, kills, longest = random.Random(seed), tmp_path / "killed", 0, whole.seconds
    for _ in range(60):
        child = os.fork()
        if child == 0:
            try:
                tag_corpus(raw.folder, folder, CLASSICAL)
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        kills += died
        longest = longest * 1.1 if died else longest / 4
        if not died and kills < 4:
            (folder / storage.MANIFEST).unlink(missing_ok=True)  # finished too soon: have it look at its shards again
        elif not died:
            break
    assert kills >= 4
    done = tag_corpus(raw.folder, folder, CLASSICAL)
    assert done.digest == whole.digest
    assert [s.sha256 for s in done.manifest.shards] == [s.sha256 for s in whole.manifest.shards]
    assert not list(folder.glob(".*.tmp")), "what was half written is swept away"


def test_missing_weights_stop_before_work(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AnnotatorError, match=r"fcnf0\+\+.pt"):
        lane(recordings, tmp_path, settings=Annotation(pitch="penn"))


def with_penn(folder: Path, monkeypatch, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    torch.save({"model": fill(Fcnf0(), seed, {"6.weight": 1.07}).state_dict()}, folder / "fcnf0++.pt")
    monkeypatch.setenv("PARLER_WEIGHTS", str(folder))


def loaded() -> int:
    gc.collect()
    return sum(isinstance(thing, (Fcnf0, Praat)) for thing in gc.get_objects())


@pytest.mark.parametrize(("pitch", "fails"), [("penn_fast", False), ("praat", False), ("praat", True)])
def test_annotators_are_let_go_when_a_stage_ends(recordings, tmp_path, monkeypatch, pitch, fails):
    with_penn(tmp_path / "weights", monkeypatch, seed=1)
    settings, before = Annotation(pitch=pitch), loaded()
    with loaded_until_here():
        annotate([clip()], ["hello"], settings)
        assert loaded() == before + 1, "kept for the next call"
    assert loaded() == before
    if fails:
        monkeypatch.setattr(stage, "_rows", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError) if fails else nullcontext():
        lane(recordings, tmp_path, settings=settings)
    assert loaded() == before


def test_other_weights_tag_again_and_a_finished_stage_needs_none(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    settings, folder = Annotation(pitch="penn_fast"), tmp_path / "weights"
    with_penn(folder, monkeypatch, seed=1)
    raw, one = lane(recordings, tmp_path, settings=settings)
    assert tag_corpus(raw.folder, one.folder, settings).reused
    with_penn(folder, monkeypatch, seed=2)
    other = tag_corpus(raw.folder, one.folder, settings)
    assert not other.reused
    assert other.digest != one.digest
    assert other.manifest.facts["weights"]["fcnf0++.pt"] == storage.sha256_of(folder / "fcnf0++.pt")
    (folder / "fcnf0++.pt").unlink()
    assert tag_corpus(raw.folder, one.folder, settings).reused
    with pytest.raises(AnnotatorError, match=r"fcnf0\+\+.pt"):
        tag_corpus(raw.folder, one.folder, settings.model_copy(update={"phonemes": "since_2_2"}))


def test_threads_change_no_bit(tmp_path, monkeypatch):
    """Each takes clips of its own, the same ones however many threads there are."""
    with_penn(tmp_path, monkeypatch, seed=1)
    monkeypatch.setattr(workers, "UNIT", 1.0)
    clips = [clip(0.3 + index / 5, seed=index) for index in range(5)] + [clip(0.01)]
    settings, before = Annotation(pitch="penn_fast"), torch.get_num_threads()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(measured(clips, settings=settings))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert found[0] == found[1]
    assert [workers.units(some) for some in ([], clips[:1])] == [[], [slice(0, 1)]]


def test_missing_weights_stop_a_folder_before_it_is_read(recordings, tmp_path, monkeypatch):
    monkeypatch.setenv("PARLER_WEIGHTS", str(tmp_path))
    with pytest.raises(AnnotatorError, match=r"squim_objective.*PARLER_WEIGHTS"):
        annotate_folder(recordings, tmp_path / "out", Annotation(quality="squim"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("tagged", "stored"), [(True, False), (False, True)])
def test_missing_weights_stop_a_lane_before_its_shards(recordings, tmp_path, monkeypatch, tagged, stored):
    """In the graph: only where the run is going to tag what it stores."""
    monkeypatch.setenv("PARLER_WEIGHTS", str(tmp_path))
    corpora = {"own": {"source": {"kind": "folder", "path": str(recordings)}}}
    recipe = Recipe.model_validate(
        load_recipe("sample").model_dump() | {"corpora": corpora, "annotation": {"quality": "squim"}}
    )
    workspace = Workspace(recipe="own", folder=str(tmp_path))
    assets = [raw_dataset("own", recipe.corpora["own"], recipe), continuous_tags("own", recipe)]
    tools = {"workspace": workspace, "tagger": settings_resource(recipe.annotation), "accelerator": Accelerator(),
             "writer": settings_resource(recipe.describing)}  # fmt: skip
    chosen = assets if tagged else assets[:1]
    done = dg.materialize(assets, selection=chosen, resources=tools, raise_on_error=False)
    assert done.success is stored
    assert workspace.lane("own", "raw_dataset").exists() is stored
    if not stored:
        (failure,) = (event for event in done.all_events if event.is_step_failure)
        assert "squim_objective_dns2020.pth" in str(failure.event_specific_data.error)


# -------------------------------------------------------------------------------------------------------------- export


def test_export_has_dataspeechs_columns_and_dtypes(recordings, tmp_path):
    _, tags = lane(recordings, tmp_path)
    bins = bin_corpus(tags.folder, tmp_path / "bins", Binning(edges="v01"), CLASSICAL)
    text = dict.fromkeys(("text", "speaker_id"), "string")
    numbers = {"utterance_pitch_mean": "float", "utterance_pitch_std": "float", "snr": "double", "c50": "double"}
    table = pq.read_table(export(tags.folder, tmp_path / "tags.parquet", "a"))
    expected = text | {"id": "string", "gender": "string"} | numbers | {"speaking_rate": "double", "phonemes": "string"}
    assert {field.name: str(field.type) for field in table.schema} == expected
    labels = dict.fromkeys(("pitch", "noise", "reverberation", "speech_monotony"), "string")
    table = pq.read_table(export(bins.folder, tmp_path / "bins.parquet", "a", labels=True))
    assert {f.name: str(f.type) for f in table.schema} == expected | {"speaking_rate": "string"} | labels
    assert table["id"].to_pylist() == storage.read(tags.folder, ["id"])["id"].to_pylist(), "rows keep their order"


def test_export_takes_one_era_and_squims_hyphen():
    row = {"id": "a", "text": "x", "phonemes": "x", "si_sdr": 3.0, "stoi": None, "pesq": None}
    row |= {f"{name}_{era}": float(era == "b") for name in ("snr", "c50", "speaking_rate") for era in "ab"}
    row |= {"utterance_pitch_mean": 1.0, "utterance_pitch_std": 1.0, "speaker": None}
    table = dataspeech_table(pa.Table.from_pylist([row]), "b")
    assert table["snr"].to_pylist() == table["c50"].to_pylist() == table["speaking_rate"].to_pylist() == [1.0]
    assert "si-sdr" in table.column_names
    assert "stoi" not in table.column_names


def test_descriptions_are_joined_by_id(recordings, tmp_path):
    _, tags = lane(recordings, tmp_path)
    bins = bin_corpus(tags.folder, tmp_path / "bins", Binning(edges="v01"), CLASSICAL)
    ids = storage.read(tags.folder, ["id"])["id"].to_pylist()
    written = pa.table({"id": ids[::-1], "description": [f"About {name}" for name in ids[::-1]]})
    storage.build(tmp_path / "described", "x", 1, lambda _: storage.Part(written))
    table = pq.read_table(export(bins.folder, tmp_path / "x.parquet", "a", True, tmp_path / "described"))
    assert table["text_description"].to_pylist() == [f"About {name}" for name in ids]


# ------------------------------------------------------------------------------------------------------ folder alone


def test_a_folder_on_its_own(recordings, tmp_path):
    done = annotate_folder(recordings, tmp_path / "out")
    report = done.report.read_text()
    assert done.clips == 9
    assert {row.id for row in done.set_aside} == {"silent", "broken"}
    assert all(row.id in report and row.reason in report for row in done.set_aside)
    assert pq.read_table(done.bins).num_rows == pq.read_table(done.tags).num_rows == 9
    assert set(json.loads(done.edges.read_text())) >= {"noise", "pitch_bins_male", "pitch_bins_female"}
    for name in ("speaking_rate", "noise", "reverberation", "speech_monotony", "pitch_male", "pitch_female"):
        assert (done.folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"plots/{name}.png" in report


def test_sound_files_alone(tmp_path):
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    for index in range(3):
        soundfile.write(folder / "deep" / f"{index}.flac", sound(1.0, seed=index), 16000)
    done = annotate_folder(folder, tmp_path / "out", binning=Binning(edges="v01"))
    rows = pq.read_table(done.tags).to_pylist()
    assert [row["id"] for row in rows] == ["deep/0", "deep/1", "deep/2"]
    assert all(row["speaking_rate"] is None and row["snr"] is not None for row in rows)
    assert "no English word in the transcript: 3 clips" in done.report.read_text()


def test_from_the_shell(recordings, tmp_path):
    """As a user calls it, twice: the second call finds everything measured."""
    done = [
        CliRunner().invoke(app, ["annotate", str(recordings), "-o", str(tmp_path / "out"), "--edges", "v02"])
        for _ in range(2)
    ]
    assert [run.exit_code for run in done] == [0, 0], done[0].output
    assert "9 clips measured, 2 set aside" in done[1].output
    assert read_manifest(tmp_path / "out" / "stages" / "text_bins").facts["era"] == "b"
    assert "outermost bin" in (tmp_path / "out" / "report.md").read_text(), "a corpus unlike that of the edges is named"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no sound files"),
        ([".", "--edges", "v03"], "neither one of"),
        ([".", "--edges", "v02", "--labels", "v01"], "v02 edges have v02 labels"),
        ([".", "--pitch", "yin"], "--pitch"),
        ([".", "-o", "."], "choose another --output"),
        ([".", "--room", "brouhaha"], "PARLER_WEIGHTS"),
    ],
)
def test_what_cannot_be_annotated_says_why(recordings, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(recordings)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    output = [] if "-o" in arguments else ["-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["annotate", *arguments, *output])
    assert done.exit_code == 1
    assert message in done.output


def test_plots_group_the_most_frequent_speakers():
    names = [f"s{index}" for index in range(12) for _ in range(index + 1)] + [None]
    assert set(grouped(names)) == {f"s{index}" for index in range(4, 12)} | {"others"}


def test_plots_leave_out_what_has_no_values(recordings, tmp_path):
    _, tags = lane(recordings, tmp_path)
    bins = bin_corpus(tags.folder, tmp_path / "bins", Binning(edges="v01"), CLASSICAL)
    assert set(bin_plots(bins.folder)) == {
        "speaking_rate",
        "noise",
        "reverberation",
        "speech_monotony",
        "pitch_male",
        "pitch_female",
    }
