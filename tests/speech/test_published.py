"""Descriptions taken from a published table: joined by id, differences reported."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parler_assets import storage
from parler_assets.recipe import Corpus, load_recipe
from parler_assets.speech import audits
from parler_assets.speech.descriptions import DescriptionError, join_published
from parler_assets.storage import Part
from tests.support.published_corpora import HubCache

SAID = "A woman speaks slowly in a very clear recording."


@pytest.fixture
def raw(tmp_path):
    table = pa.table({"id": ["a", "b", "c", "d"], "written": ["Hello there.", "One two.", "Rain.", "Stop."]})
    storage.build(tmp_path / "raw", "raw", 2, lambda index: Part(table.slice(2 * index, 2)))
    return tmp_path / "raw"


def write(path, records: list[dict]):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, records)))
    else:
        lines = [",".join(records[0]), *(",".join(f'"{value}"' for value in record.values()) for record in records)]
        path.write_text("\n".join(lines))
    return path


def join(raw, path, **settings):
    corpus = Corpus.model_validate(
        {
            "source": {"kind": "folder", "path": str(raw)},
            "descriptions": {"kind": "published", "path": str(path), **settings},
        }
    )
    return join_published(raw, raw.parent / "out", corpus, raw.parent / "cache")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_rows_find_each_other_by_id_in_any_order(raw, tmp_path, ending):
    records = [{"id": name, "text_description": f" {SAID[:-1]} of take {name}."} for name in "dbca"]
    result = join(raw, write(tmp_path / f"table{ending}", records))
    table = storage.read(result.folder).to_pylist()
    assert [(row["id"], row["description"]) for row in table] == [
        (name, f"{SAID[:-1]} of take {name}.") for name in "abcd"
    ]
    assert {row["engine"] for row in table} == {"published"}
    assert not audits.like_published(result.folder)
    assert join(raw, tmp_path / f"table{ending}").reused


def test_differences_are_reported(raw, tmp_path):
    records = [
        {"id": "a", "text": "hello there", "text_description": SAID},
        {"id": "b", "text": "Three four.", "text_description": "A man speaks at a [speaking_rate] in a clear room."},
        {"id": "b", "text": "Three four.", "text_description": SAID},
        {"id": "c", "text": "Rain.", "text_description": ""},
        {"id": "x", "text": "Gone.", "text_description": SAID},
    ]
    result = join(raw, write(tmp_path / "table.jsonl", records))
    facts = result.manifest.facts
    differences = facts["differences"]
    assert (facts["published"], facts["joined"], facts["published_ids_twice"]) == (4, 3, 1)
    assert differences["clips_without_description"] == {"count": 1, "examples": ["d"]}
    assert differences["descriptions_without_clip"] == {"count": 1, "examples": ["x"]}
    assert differences["other_transcript"] == {"count": 1, "examples": ["b"]}
    assert differences["looks_damaged"]["count"] == 2
    assert len(audits.like_published(result.folder)) == 4
    assert "brackets" in differences["looks_damaged"]["examples"][0]
    assert {row.id: row.reason.split(":")[0] for row in result.manifest.set_aside} == {
        "c": "empty published description",
        "d": "no published description",
    }


def test_file_names_stand_in_for_ids(raw, tmp_path):
    records = [{"file_name": f"wavs/part1/{name}.wav", "text_description": SAID} for name in "abcd"]
    result = join(raw, write(tmp_path / "table.csv", records))
    assert result.manifest.rows == 4
    assert result.manifest.facts["joined_by_file_name"] == 4


def test_a_file_name_that_two_rows_have_joins_nothing(raw, tmp_path):
    records = [{"id": f"{folder}/{name}.wav", "text_description": SAID} for folder in "12" for name in "ab"]
    records += [{"id": "c", "text_description": SAID}]
    result = join(raw, write(tmp_path / "table.jsonl", records))
    assert storage.read(result.folder)["id"].to_pylist() == ["c"]


@pytest.mark.parametrize(
    ("records", "settings", "message"),
    [
        ([{"id": "zz", "text_description": SAID}], {}, "called 'a', descriptions 'zz'"),
        ([{"id": "a", "caption": SAID}], {}, "description_column to one of id, caption"),
        ([{"clip": "a", "text_description": SAID}], {}, "id_column to one of clip"),
        ([{"id": None, "text_description": SAID}], {}, "no row has an id"),
    ],
)
def test_a_table_that_does_not_fit_says_what_to_change(raw, tmp_path, records, settings, message):
    with pytest.raises(DescriptionError, match=message):
        join(raw, write(tmp_path / "table.jsonl", records), **settings)


def test_a_table_that_is_missing_or_broken(raw, tmp_path):
    with pytest.raises(DescriptionError, match=r"descriptions\.path"):
        join(raw, tmp_path / "nowhere.csv")
    (tmp_path / "broken.jsonl").write_text('{"id": "a", ')
    with pytest.raises(DescriptionError, match=r"broken\.jsonl: cannot be read"):
        join(raw, tmp_path / "broken.jsonl")


def test_the_cards_shortcut_reads_a_metadata_set_from_the_hub(tmp_path, monkeypatch):
    """A slice of a split, of a set whose id column is a file name, at the commit in the Hub's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    names = [f"{number:03d}.wav" for number in range(20)]
    tagged = {"file_name": names, "text_description": [f" {SAID[:-1]} of take {name[:3]}." for name in names]}
    HubCache(tmp_path / "hub").add(
        "ylacombe/jenny-tts-10k-tagged", {"data/train-00000-of-00001.parquet": pa.table(tagged)}
    )
    table = pa.table({"id": names[:5], "written": ["Hello."] * 5})
    storage.build(tmp_path / "raw", "raw", 1, lambda _: Part(table))
    corpus = load_recipe("expresso").corpora["jenny"]
    result = join_published(tmp_path / "raw", tmp_path / "out", corpus, tmp_path / "cache")
    facts = result.manifest.facts
    assert (facts["published"], facts["joined"], result.manifest.rows) == (4, 4, 4)
    assert [row.id for row in result.manifest.set_aside] == [names[4]]
    assert storage.read(result.folder)["description"][3].as_py().endswith("of take 003.")


def test_the_sample_brings_descriptions_from_known_truth(tmp_path):
    from parler_assets.sample.plan import generic_clips
    from parler_assets.sample.published import known_labels
    from parler_assets.speech.descriptions.checking.faults import faults

    clips = generic_clips(40, 9)
    table = pa.table({"id": [clip.id for clip in clips], "written": [clip.text for clip in clips]})
    storage.build(tmp_path / "raw", "raw", 1, lambda _: Part(table))
    source = {"kind": "synthetic", "voices": "generic", "clips": 40, "seed": 9}
    corpus = Corpus.model_validate({"source": source, "descriptions": {"kind": "published"}})
    result = join_published(tmp_path / "raw", tmp_path / "out", corpus, tmp_path / "cache")
    said = {row["id"]: row["description"] for row in storage.read(result.folder).to_pylist()}
    assert len(said) == 40
    assert not [clip.id for clip in clips if faults(said[clip.id], known_labels(clip))]
    noisiest, clearest = min(clips, key=lambda c: c.snr), max(clips, key=lambda c: c.snr)
    assert known_labels(noisiest)["noise"] == "very noisy"
    assert known_labels(clearest)["noise"] == "very clear"
