"""A training set: joined by id, filtered with reasons, split without leakage, audited."""

from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import parler_assets.tts.data.build as building
from parler_assets import storage
from parler_assets.recipe import Training
from parler_assets.tts.data import TrainingSetError, audit_training_set, build_training_set, open_split
from parler_assets.tts.data.mixture import mixture_markdown
from parler_assets.tts.model import tokenizers
from parler_assets.tts.training import fitness
from parler_assets.tts.training.fitness import few_held_out, nothing_learnt
from tests.support.lanes import TEXTS, clip_rows, write_lane

SETTINGS = Training(min_seconds=0.5, max_seconds=12)


def tokenise(texts, add_special_tokens):
    assert add_special_tokens
    return {"input_ids": [[2 + ord(letter) % 7 for letter in text] + [1] for text in texts]}


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """A base folder as far as a training set looks at it, and a tokenizer of one id a letter."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"text_encoder": {}, "audio_encoder": {"codebook_size": 32},'
        ' "decoder": {"num_codebooks": 9, "max_position_embeddings": 256}}'
    )
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(
        tokenizers, "load_tokenizers", lambda base: SimpleNamespace(prompt=tokenise, description=tokenise)
    )
    return folder


@pytest.fixture
def build(tmp_path, base):
    def run(*lanes, settings=SETTINGS, rebuild=False):
        return build_training_set(lanes, base, tmp_path / "set", settings, rebuild)

    return run


def both(folder):
    return open_split(folder, "train"), open_split(folder, "held_out")


def test_rows_are_joined_by_id_whatever_the_order(tmp_path, build):
    rows = clip_rows(24)
    codes = {row["id"]: np.full((9, row["frames"]), index, np.uint16) for index, row in enumerate(rows)}
    result = build(write_lane(tmp_path, rows, codes=codes, held_out=0.2))
    for split in both(result.folder):
        for position, name in enumerate(split.table["id"].to_pylist()):
            index = next(i for i, row in enumerate(rows) if row["id"] == name)
            assert split.table["description"][position].as_py() == rows[index]["description"]
            assert split.table["text"][position].as_py() == rows[index]["text"]
            assert split.clip(position).shape == (rows[index]["frames"], 9)
            assert (split.clip(position) == index).all()
    assert not audit_training_set(result.folder)


def test_codes_keep_their_codebooks(tmp_path, build):
    rows = clip_rows(4, frames=5)
    matrix = np.arange(9 * 3, dtype=np.uint16).reshape(9, 3)
    result = build(write_lane(tmp_path, rows, codes={"clip-001": matrix}, held_out=0.0))
    train = open_split(result.folder, "train")
    row = train.table["id"].to_pylist().index("clip-001")
    np.testing.assert_array_equal(train.clip(row), matrix.T)
    assert isinstance(train.codes, np.memmap)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"duration": 0.5}, "duration"),
        ({"duration": 12.0}, "duration"),
        ({"text": "  "}, "text"),
        ({"text": "x" * 400}, "text length"),
        ({"description": None}, "missing description"),
        ({"description": " "}, "missing description"),
        ({"description": "x" * 500}, "description length"),
        ({"frames": 0}, "missing codes"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(tmp_path, build, change, reason):
    rows = clip_rows(12)
    rows[3] |= change
    result = build(write_lane(tmp_path, rows, held_out=0.2))
    (aside,) = result.manifest.set_aside
    assert aside.id == "studio/clip-003"
    assert aside.reason.split(":")[0] == reason
    assert result.manifest.facts["mixture"][0]["set_aside"] == {reason: 1}
    assert result.manifest.rows == 11


def test_a_code_outside_the_base_s_codebooks_is_set_aside(tmp_path, build):
    rows = clip_rows(12)
    result = build(write_lane(tmp_path, rows, codes={"clip-005": np.full((9, 4), 32, np.uint16)}))
    assert [row.reason.split(":")[0] for row in result.manifest.set_aside] == ["code range"]


@pytest.mark.parametrize(("setting", "reason"), [("max_prompt_tokens", "prompt"), ("max_description_tokens", "desc")])
def test_too_many_tokens_are_set_aside(tmp_path, build, setting, reason):
    rows = [{**row, "text": "go", "description": "Jerry"} for row in clip_rows(12)]
    rows[3]["text"] = rows[3]["description"] = "x" * 40
    result = build(write_lane(tmp_path, rows), settings=SETTINGS.model_copy(update={setting: 40}))
    (aside,) = [row for row in result.manifest.set_aside if "tokens" in row.reason]
    assert aside.id == "studio/clip-003"
    assert aside.reason.startswith(reason)
    assert aside.reason.endswith("tokens: 41, limit 40")
    assert max(len(ids) for split in both(result.folder) for ids in split.prompts) <= 41


def test_a_trial_takes_the_same_few_clips_every_time(tmp_path, build):
    rows = clip_rows(60)
    chosen = SETTINGS.model_copy(update={"max_train_clips": 5, "max_held_out_clips": 2})
    result = build(write_lane(tmp_path, rows, held_out=0.3), settings=chosen)
    first = [split.table["id"].to_pylist() for split in both(result.folder)]
    assert [len(ids) for ids in first] == [5, 2]
    assert result.manifest.facts["mixture"][0]["set_aside"]["not chosen"] == 53
    build(write_lane(tmp_path, rows[::-1], held_out=0.3), settings=chosen)
    assert [set(split.table["id"].to_pylist()) for split in both(result.folder)] == [set(ids) for ids in first]


def test_few_held_out_clips_are_a_problem_only_where_there_are_more(tmp_path, build, monkeypatch):
    rows = clip_rows(60)
    result = build(write_lane(tmp_path, rows, held_out=0.3))
    assert few_held_out(result.folder) == []
    monkeypatch.setattr(fitness, "AT_MOST", 0.999)
    monkeypatch.setattr(fitness, "ENOUGH_HELD_OUT", 40)
    (problem,) = few_held_out(result.folder)
    assert "set held_out of the corpora to" in problem
    monkeypatch.setattr(fitness, "AT_MOST", 0.1)
    for limit, problems in (("max_train_clips", 0), ("max_held_out_clips", 1)):
        build(write_lane(tmp_path, rows, held_out=0.3), settings=SETTINGS.model_copy(update={limit: 2}))
        assert len(few_held_out(result.folder)) == problems
    monkeypatch.setattr(fitness, "ENOUGH_HELD_OUT", 2)
    assert few_held_out(result.folder) == []


@pytest.mark.parametrize(("chosen", "problems"), [(0, 1), (10, 0), (None, 0)])
def test_a_checkpoint_that_is_still_the_base_is_said_to_be(chosen, problems):
    found = nothing_learnt({"updates": 180, "chosen_update": chosen, "held_out_loss": 3.0856})
    assert len(found) == problems
    assert all("before the first of 180 updates (3.086)" in problem for problem in found)


def test_every_setting_is_described():
    assert not [name for name, field in Training.model_fields.items() if not field.description]


def test_what_is_held_out_is_stable_and_never_shares_an_utterance_with_training(tmp_path, build):
    rows = clip_rows(60)
    build(write_lane(tmp_path, rows, held_out=0.3))
    train, held_out = both(tmp_path / "set")
    kept = set(held_out.table["id"].to_pylist())
    utterances = [
        set(zip(*(split.table[c].to_pylist() for c in ("speaker", "text")), strict=True))
        for split in both(tmp_path / "set")
    ]
    assert not utterances[0] & utterances[1]
    assert 0 < len(held_out) < len(train)
    build(write_lane(tmp_path, rows[::-1], held_out=0.3))
    assert set(open_split(tmp_path / "set", "held_out").table["id"].to_pylist()) == kept


def test_a_list_of_held_out_ids_is_followed_and_its_utterances_leave_training(tmp_path, build):
    rows = clip_rows(36)
    listed = tmp_path / "held_out.txt"
    listed.write_text("clip-000\n")
    result = build(write_lane(tmp_path, rows, held_out_ids=listed))
    train, held_out = both(result.folder)
    assert held_out.table["id"].to_pylist() == ["clip-000"]
    assert {row.id for row in result.manifest.set_aside} == {"studio/clip-012", "studio/clip-024"}
    assert TEXTS[0] not in {
        text
        for text, who in zip(train.table["text"].to_pylist(), train.table["speaker"].to_pylist(), strict=True)
        if who == "Jerry"
    }
    listed.write_text("clip-000\nclip-999\n")
    with pytest.raises(TrainingSetError, match="clip-999"):
        build(write_lane(tmp_path, rows, held_out_ids=listed))


def test_same_input_is_reused_and_rebuilt_content_keeps_its_digest(tmp_path, build):
    rows = clip_rows(12)
    lane = write_lane(tmp_path, rows)
    first = build(lane)
    assert not first.reused
    assert build(lane).reused
    assert build(lane, settings=SETTINGS.model_copy(update={"learning_rate": 1.0})).reused
    assert build(lane, rebuild=True).digest == first.digest
    changed = [{**row, "description": row["description"] + " now"} for row in rows]
    assert build(write_lane(tmp_path, changed)).digest != first.digest
    assert len(list((tmp_path / "set").glob("codes-*.npy"))) == 2


def test_mixture_names_what_each_corpus_brings(tmp_path, build):
    studio = write_lane(tmp_path, clip_rows(12), weight=2.0, licence="CC0-1.0", held_out=0.0)
    field = write_lane(tmp_path, [{**row, "speaker": None} for row in clip_rows(8)], name="field", held_out=0.2)
    result = build(studio, field)
    one, two = result.manifest.facts["mixture"]
    assert (one["train_rows"], one["speakers"], one["weight"]) == (12, ["Jerry", "Talia"], 2.0)
    assert one["share"] + two["share"] == pytest.approx(1, abs=1e-3)
    assert result.manifest.facts["licences"] == {"studio": "CC0-1.0", "field": "unknown"}
    assert mixture_markdown([one, two]).count("\n") == 3


def problems(result):
    return {problem.kind: problem.message for problem in audit_training_set(result.folder)}


def test_audit_refuses_an_empty_set_and_says_why(tmp_path, build):
    lane = write_lane(tmp_path, clip_rows(6))
    found = problems(build(lane, settings=Training(min_seconds=5, max_seconds=6)))
    assert "6 duration" in found["empty"]


def test_audit_refuses_a_corpus_without_descriptions(tmp_path, build):
    rows = clip_rows(6)
    lane = write_lane(tmp_path, rows)
    other = write_lane(tmp_path, [{**row, "id": row["id"] + ".wav"} for row in rows], name="other")
    mixed = type(lane)(**{**vars(lane), "name": "mixed", "descriptions": other.descriptions})
    found = problems(build(lane, mixed))
    assert "mixed" in found["no_descriptions"]


def test_audit_refuses_too_few_hours_and_nothing_held_out(tmp_path, build):
    lane = write_lane(tmp_path, clip_rows(6), held_out=0.0)
    assert (
        "training.min_hours"
        in problems(build(lane, settings=SETTINGS.model_copy(update={"min_hours": 1.0})))["too_few_hours"]
    )
    assert "no_held_out" in problems(build(lane))


def test_audit_finds_codes_changed_on_disk(tmp_path, build):
    result = build(write_lane(tmp_path, clip_rows(12)))
    path = result.folder / open_split(result.folder, "train").codes_file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "corrupt_codes" in problems(result)
    path.unlink()
    with pytest.raises(storage.ShardError, match="materialize the training set again"):
        audit_training_set(result.folder)


DAMAGE = {
    "flip": lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-64]),
    "empty": lambda path: path.write_bytes(b""),
    "delete": lambda path: path.unlink(),
}


@pytest.mark.parametrize("of_before", [False, True], ids=["new", "of before"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_codes_are_not_read_and_the_remedy_makes_them_again(tmp_path, build, damage, of_before):
    lane = write_lane(tmp_path, clip_rows(12))
    before = build(lane)
    if of_before:  # a manifest that does not name the codes, and no records
        content = json.loads((before.folder / storage.MANIFEST).read_text())
        content = {key: value for key, value in content.items() if key != "seal"}
        for shard in content["shards"]:
            del shard["beside"]
        storage.write_json(before.folder / storage.MANIFEST, content)
        for record in before.folder.glob("part-*.json"):
            record.unlink()
    path = before.folder / open_split(before.folder, "train").codes_file
    kept = path.read_bytes()
    DAMAGE[damage](path)
    with pytest.raises(storage.ShardError, match=path.name) as caught:
        _ = open_split(before.folder, "train").codes
    named = re.search(r"delete (part-\S+) beside it", str(caught.value))
    assert bool(named) == of_before
    if named:
        (before.folder / named[1]).unlink()
    again = build(lane)
    assert path.read_bytes() == kept
    assert again.digest == before.digest
    assert again.manifest.set_aside == before.manifest.set_aside
    assert not problems(again).get("corrupt_codes")
    assert build(lane).reused


def test_audit_finds_leakage_and_codes_out_of_range_in_a_set_made_elsewhere(tmp_path, build, monkeypatch):
    rows = clip_rows(24)
    monkeypatch.setattr(building, "split_rows", lambda lanes: (lanes[0].rows[1:], lanes[0].rows[:1], []))
    monkeypatch.setattr(building, "codebook_shape", lambda base: (9, 64))
    result = build(write_lane(tmp_path, rows, codes={"clip-007": np.full((9, 4), 40, np.uint16)}))
    manifest = storage.read_manifest(result.folder)
    content = {**vars(manifest), "facts": {**manifest.facts, "codebook_size": 32}}
    content |= {"shards": [vars(s) for s in manifest.shards], "set_aside": []}
    storage.write_json(result.folder / storage.MANIFEST, content)
    found = problems(result)
    assert "one two three" in found["leakage"]
    assert "clip-007" in found["codes_out_of_range"]


@pytest.mark.parametrize("stage", ["raw", "descriptions", "codes"])
def test_an_unfinished_or_damaged_stage_is_named(tmp_path, build, stage):
    lane = write_lane(tmp_path, clip_rows(6))
    shard = next(getattr(lane, stage).glob("*.parquet"))
    shard.write_bytes(b"not parquet")
    with pytest.raises(storage.ShardError, match=shard.name):
        build(lane)
    shutil.rmtree(getattr(lane, stage))
    with pytest.raises(storage.ShardError, match="materialize it first"):
        build(lane)


def test_a_doubled_id_or_another_codec_is_refused(tmp_path, build):
    rows = clip_rows(6)
    with pytest.raises(TrainingSetError, match="clip-002"):
        build(write_lane(tmp_path, [*rows, rows[2]]))
    with pytest.raises(TrainingSetError, match="4"):
        build(write_lane(tmp_path, rows, name="four", codebooks=4))
