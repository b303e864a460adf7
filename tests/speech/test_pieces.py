"""Long clips, many or one, in pieces of bounded memory; what fails alone is set aside."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from parler_assets.speech import pieces as cutting
from parler_assets.speech.codec import codec as codecs
from parler_assets.speech.codec.codec import load_codec
from parler_assets.speech.pieces import in_pieces, pieces, windows
from parler_assets.storage import Part
from tests.support.tiny_checkpoint import write_tiny_checkpoint


def clips(*seconds: float) -> pa.Table:
    names = [str(number) for number in range(len(seconds))]
    return pa.table({"id": pa.array(names, pa.string()), "duration": pa.array(seconds, pa.float64())})


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        ([], [0]),
        ([1.0], [1]),
        ([4000.0], [1]),
        ([5.0] * 256, [120, 120, 16]),
        ([1.0, 4000.0, 1.0], [1, 1, 1]),
        ([599.0, 1.0, 1.0], [2, 1]),
        ([300.0, 300.0, 300.0], [2, 1]),
    ],
)
def test_pieces_are_bounded_and_lose_nothing(seconds, sizes):
    found = pieces(clips(*seconds))
    assert [piece.num_rows for piece in found] == sizes
    assert pa.concat_tables(found).equals(clips(*seconds))


LACK = [
    MemoryError(),
    pa.ArrowMemoryError("malloc of size 1 failed"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    torch.OutOfMemoryError("CUDA out of memory"),
]


@pytest.mark.parametrize("lack", LACK, ids=lambda lack: type(lack).__name__)
def test_a_clip_that_memory_does_not_suffice_for_is_set_aside_alone(lack):
    def work(table: pa.Table) -> Part:
        if any(seconds > 100 for seconds in table["duration"].to_pylist()):
            raise lack
        return Part(table)

    part = in_pieces([clips(1, 2, 200, 3)], work, "stage")
    assert part.table["id"].to_pylist() == ["0", "1", "3"]
    (aside,) = part.set_aside
    assert (aside.id, aside.stage) == ("2", "stage")
    assert "more memory than there is" in aside.reason


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("wrong"), KeyError("id")])
def test_any_other_error_ends_the_stage(error):
    def work(table: pa.Table) -> Part:
        raise error

    with pytest.raises(type(error)):
        in_pieces([clips(1, 2)], work, "stage")


def test_what_is_set_aside_in_every_piece_is_kept(monkeypatch):
    monkeypatch.setattr(cutting, "PIECE", 2.0)
    seen = []

    def work(table: pa.Table) -> Part:
        seen.append(table.num_rows)
        return Part(table.slice(1), [cutting.SetAside(table["id"][0].as_py(), "stage", "first")])

    part = in_pieces([clips(1, 1, 1, 1, 1)], work, "stage")
    assert seen == [2, 2, 1]
    assert part.table["id"].to_pylist() == ["1", "3"]
    assert [row.id for row in part.set_aside] == ["0", "2", "4"]


@pytest.mark.parametrize(("frames", "reach", "most"), [(1, 3, 10), (10, 3, 10), (11, 3, 10), (97, 3, 10), (97, 9, 4)])
def test_windows_keep_every_frame_once_with_what_it_depends_on(frames, reach, most):
    kept = []
    for window in windows(frames, reach, most):
        assert window.last - window.first <= max(most, 2 * reach + 1)
        inside = list(range(window.first, window.last))[window.kept]
        assert window.first <= max(0, inside[0] - reach)
        assert window.last >= min(frames, inside[-1] + 1 + reach)
        kept += inside
    assert kept == list(range(frames))


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codec")
    write_tiny_checkpoint(folder)
    return load_codec(folder)


@pytest.mark.parametrize("pads", [True, False])
@pytest.mark.parametrize("over", [0, 1])
def test_a_long_clip_has_the_codes_and_the_sound_of_the_whole(codec, monkeypatch, pads, over):
    monkeypatch.setattr(codec, "pads", pads)
    sounds = [noise(codec, frames) for frames in (170, 30)]
    sounds[0] = np.append(sounds[0], np.float32([0.2] * over))
    whole = codec.encode(sounds)
    heard = codec.decode(whole)
    monkeypatch.setattr(codecs, "MOST_FRAMES", 60)
    cut = codec.encode(sounds)
    for one, other in zip(whole, cut, strict=True):
        assert one.shape == other.shape
        assert (one == other).mean() > 0.999  # beyond rounding where two entries are as near
    for one, other in zip(heard, codec.decode(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def noise(codec, frames: int) -> np.ndarray:
    return np.random.default_rng(frames).normal(0, 0.2, frames * codec.hop).astype(np.float32)
