"""Labels exactly as DataSpeech gives them, and none where nothing was measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parler_assets import storage
from parler_assets.recipe import Annotation, Binning, LowestEdges, Tolerances
from parler_assets.speech import audits
from parler_assets.speech.binning.bins import bin_corpus, bin_table, label_values
from parler_assets.speech.binning.edges import ATTRIBUTES, GENDERS, BinError, bin_edges, edges_and_labels, write_edges
from parler_assets.storage import Part

GOLDEN = Path(__file__).parents[1] / "golden"
SETS = {"v01": "v01", "v01_2024-04": "v01_2024_04", "v02": "v02"}
OUTPUTS = {a.edges: a.output for a in ATTRIBUTES} | dict.fromkeys(GENDERS.values(), "pitch")


def published(name: str) -> dict:
    return edges_and_labels(Binning(edges=name), "b" if name == "v02" else "a", [])


def test_golden_vectors():
    """502 values on, beside, between and beyond edges; where the original labels NaN, we give none."""
    rows = json.loads((GOLDEN / "golden_binning.json").read_text(encoding="utf-8"))
    facts = {name: published(ours) for name, ours in SETS.items()}
    for row in rows:
        chosen = facts[row["edges"]]
        value = float(row["value"])
        found = label_values([value], chosen["edges"][row["key"]], chosen["labels"][OUTPUTS[row["key"]]])
        assert found == [None if math.isnan(value) else row["label"]], row


@pytest.mark.parametrize("row", json.loads((GOLDEN / "golden_rows_expresso.json").read_text(encoding="utf-8")))
def test_published_expresso_rows(row):
    """Label by label what was published, from the published numbers."""
    era = "b" if row["edges"] == "v02" else "a"
    numbers = {
        f"snr_{era}": row.get("snr"),
        f"c50_{era}": row.get("c50"),
        "utterance_pitch_std": row.get("utterance_pitch_std"),
        "si_sdr": row.get("si_sdr"),
        "pesq": row.get("pesq"),
    }
    table = pa.table({name: pa.array([value], pa.float64()) for name, value in numbers.items()})
    binned = bin_table(table, published(SETS.get(row["edges"], row["edges"]))).to_pylist()[0]
    for column in ("noise", "reverberation", "speech_monotony", "sdr_noise", "pesq_speech_quality"):
        if column in row:
            assert binned[column] == row[column]


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=8, unique=True).map(sorted),
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=20),
)
def test_rule_by_definition(edges, values):
    """The last bin whose lower edge lies below the value, or the first; nothing for nothing."""
    labels = [f"bin {index}" for index in range(len(edges) - 1)]
    for value, label in zip(values, label_values(values, edges, labels), strict=True):
        if value is None or math.isnan(value):
            assert label is None
        else:
            below = [index for index, edge in enumerate(edges[:-1]) if edge < value]
            assert label == labels[below[-1] if below else 0]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.integers(1, 9))
def test_estimated_edges_are_those_of_a_histogram(values, bins):
    edges = bin_edges(np.array(values), bins, None, None)
    assert edges is not None
    assert np.allclose(edges, np.histogram(values, bins=bins)[1])


def test_estimated_edges_leave_out_what_lies_far_off():
    values = np.array([*np.linspace(10, 20, 99), 1000.0, np.nan])
    assert bin_edges(values, 5, 4.0, None)[-1] == 20.0
    assert bin_edges(values, 5, None, None)[-1] == 1000.0
    assert bin_edges(values, 5, 4.0, 5.0)[0] == 5.0
    assert bin_edges(values, 5, 4.0, 0.0)[0] == 10.0, "0 means unset, as in the original"
    assert bin_edges(np.array([np.nan]), 5, 4.0, None) is None


# ------------------------------------------------------------------------------------------------------------- corpora


def write_tags(folder: Path, rows: list[dict]) -> Path:
    names = ("id", "speaker", "gender", "duration", "speech_duration", "utterance_pitch_mean", "utterance_pitch_std")
    numbers = ("speaking_rate_a", "speaking_rate_b", "snr_a", "snr_b", "c50_a", "c50_b", "stoi", "si_sdr", "pesq")
    texts = ("id", "speaker", "gender")
    schema = pa.schema([(name, pa.string() if name in texts else pa.float64()) for name in (*names, *numbers)])
    table = pa.Table.from_pylist([{"id": str(index), **row} for index, row in enumerate(rows)], schema=schema)
    storage.build(folder, "tags", 1, lambda _: Part(table))
    return folder


def speakers(count: int = 40) -> list[dict]:
    """Two men and two women whose clips differ in pitch, rate and noise."""
    generator = np.random.default_rng(3)
    people = [("Jerry", "male", 90.0), ("Thomas", "male", 130.0), ("Talia", "female", 240.0), ("Eva", "female", 180.0)]
    rows = []
    for index in range(count):
        name, gender, pitch = people[index % len(people)]
        rows.append(
            {
                "speaker": name,
                "gender": gender,
                "utterance_pitch_mean": pitch + generator.normal(0, 30),
                "utterance_pitch_std": float(generator.uniform(5, 80)),
                "speaking_rate_a": float(generator.uniform(5, 20)),
                "snr_a": float(generator.uniform(10, 60)),
                "c50_a": float(generator.uniform(5, 40)),
            }
        )
    return rows


def test_a_speaker_has_one_pitch_label_and_edges_span_the_gender(tmp_path):
    tags = write_tags(tmp_path / "one" / "tags", speakers())
    result = bin_corpus(tags, tmp_path / "bins", Binning(edges="estimated"), Annotation())
    rows = storage.read(result.folder).to_pylist()
    pitch = {(row["speaker"], row["pitch"]) for row in rows}
    assert pitch == {
        ("Jerry", "very low pitch"),
        ("Thomas", "very high pitch"),
        ("Eva", "very low pitch"),
        ("Talia", "very high pitch"),
    }


def test_numbers_stay_beside_labels(tmp_path):
    tags = write_tags(tmp_path / "tags", speakers())
    result = bin_corpus(tags, tmp_path / "bins", Binning(edges="v01"), Annotation())
    binned = storage.read(result.folder)
    assert binned.select(storage.read(tags).column_names).equals(storage.read(tags))
    assert set(binned["speaking_rate"].to_pylist()) <= set(result.manifest.facts["labels"]["speaking_rate"])
    assert not audits.known_labels(result.folder)


def test_generated_speech_is_labelled_by_its_own_pitch(tmp_path):
    tags = write_tags(tmp_path / "tags", speakers())
    facts = bin_corpus(tags, tmp_path / "bins", Binning(edges="v01"), Annotation()).manifest.facts
    sample = pa.table({"utterance_pitch_mean": [70.0, 300.0, 100.0], "gender": ["male", "Male", None]})
    labels = bin_table(bin_table(sample, facts), facts)["pitch"].to_pylist()
    assert labels == ["very low pitch", "very high pitch", None]


def test_missing_genders_and_values_have_no_label(tmp_path):
    rows = [{"speaker": "x", "gender": "other", "utterance_pitch_mean": 100.0}, {"speaker": None}]
    tags = write_tags(tmp_path / "tags", rows)
    result = bin_corpus(tags, tmp_path / "bins", Binning(edges="estimated"), Annotation())
    assert all(row["pitch"] is None and row["noise"] is None for row in storage.read(result.folder).to_pylist())


def test_no_speech_is_not_fast_speech(tmp_path):
    """Era b's rate of a clip without speech is a number by convention, and no ground for a label."""
    rows = [{"speaking_rate_b": 1400.0, "speech_duration": 0.0}, {"speaking_rate_b": 12.0, "speech_duration": 1.0}]
    tags = write_tags(tmp_path / "tags", rows)
    result = bin_corpus(tags, tmp_path / "bins", Binning(edges="v02"), Annotation(era="b"))
    assert storage.read(result.folder)["speaking_rate"].to_pylist() == [None, "moderate speed"]


def test_edges_come_from_the_pool_or_its_leading_corpora(tmp_path):
    loud = write_tags(tmp_path / "loud" / "tags", [{"snr_a": float(value)} for value in range(100)])
    quiet = write_tags(tmp_path / "quiet" / "tags", [{"snr_a": float(value) / 10} for value in range(100)])
    settings = Binning(edges="estimated", tolerances=Tolerances(noise=None), lowest=LowestEdges(noise=-5.0))
    both = edges_and_labels(settings, "a", [loud, quiet])["edges"]["noise"]
    led = edges_and_labels(settings.model_copy(update={"leading": ["quiet"]}), "a", [loud, quiet])["edges"]["noise"]
    assert (both[0], both[-1]) == (-5.0, 99.0)
    assert led[-1] == 9.9


def test_saved_edges_give_the_same_labels(tmp_path):
    tags = write_tags(tmp_path / "tags", speakers())
    first = bin_corpus(tags, tmp_path / "first", Binning(edges="estimated"), Annotation())
    write_edges(tmp_path / "edges.json", first.manifest.facts)
    again = bin_corpus(tags, tmp_path / "again", Binning(edges=str(tmp_path / "edges.json")), Annotation())
    assert storage.read(again.folder).equals(storage.read(first.folder))


@pytest.mark.parametrize(
    ("edges", "settings", "message"),
    [
        ({"noise": [1, 2, 3]}, {}, "labels"),
        ({"noise": [1, 3, 2, 4, 5, 6, 7, 8]}, {}, "do not rise"),
        ({"loudness": [1, 2]}, {}, "unknown edges loudness"),
        (["noise"], {}, "mapping"),
    ],
)
def test_unusable_edges_say_what_is_wrong(tmp_path, edges, settings, message):
    path = tmp_path / "edges.json"
    path.write_text(json.dumps(edges))
    with pytest.raises(BinError, match=message):
        edges_and_labels(Binning(edges=str(path), **settings), "a", [])


def test_v02_edges_refuse_v01_labels():
    with pytest.raises(BinError, match="v02 edges have v02 labels"):
        edges_and_labels(Binning(edges="v02", labels="v01"), "b", [])


def test_a_second_run_is_reused_and_new_edges_are_not(tmp_path):
    tags = write_tags(tmp_path / "tags", speakers())
    assert not bin_corpus(tags, tmp_path / "bins", Binning(edges="v01"), Annotation()).reused
    assert bin_corpus(tags, tmp_path / "bins", Binning(edges="v01"), Annotation()).reused
    assert not bin_corpus(tags, tmp_path / "bins", Binning(edges="v01_2024_04"), Annotation()).reused


def test_drift_is_reported(tmp_path):
    tags = write_tags(tmp_path / "tags", [{"snr_a": 5.0 + index / 100} for index in range(20)])
    result = bin_corpus(tags, tmp_path / "bins", Binning(edges="v01"), Annotation())
    (problem,) = audits.drift(result.folder)
    assert problem.startswith("noise: 100% of the clips are 'very noisy', the outermost bin; the edges do not suit")
    assert "binning.tolerances" in audits.drift(result.folder, estimated=True)[0]
