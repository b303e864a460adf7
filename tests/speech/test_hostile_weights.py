"""Weight files of annotators that somebody wrote to do harm: each is one sentence with file and remedy."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from parler_assets.hub.errors import AnnotatorError
from parler_assets.intake.torch_files import read_torch
from parler_assets.speech.annotation.networks import brouhaha, fcnf0, squim
from tests.support.bounded import outcome, refusal

LOADERS = {"FCNF0++": fcnf0.load, "SQUIM": squim.load, "Brouhaha": brouhaha.load}


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


GOOD = saved({"model": {"a": torch.ones(4)}})


def zipped(pickled: bytes | None = None, packing: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    """A good file with another pickle, packed, or with more parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(buffer, "w", packing) as new:
        for name in old.namelist():
            new.writestr(name, pickled if pickled and name.endswith("data.pkl") else old.read(name))
        for name, data in more.items():
            new.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def calling(module: str, name: str, arguments: bytes) -> bytes:
    """A mapping whose value is made by a call, as torch's own unpickler would make it."""
    return zipped(b"\x80\x02}X\x05\x00\x00\x00modelc" + f"{module}\n{name}\n".encode() + arguments + b"Rs.")


def inflated() -> bytes:
    """A zip that states a size of 2^31 for the four numbers in it."""
    data = bytearray(GOOD)
    entry = data.rindex(b"archive/data/0") - 46  # of the central directory
    data[entry + 20 : entry + 28] = (2**31 - 1).to_bytes(4, "little") * 2
    return bytes(data)


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/parler-ran",)


LARGE = b"J\x00\x00\x00\x7f\x85"  # the arguments (2130706432,)
BYTES: dict[str, bytes] = {
    "nothing": b"",
    "a letter": b"x",
    "a text": b"not weights at all\n" * 100,
    "cut": GOOD[: len(GOOD) // 2],
    "without its directory": GOOD[:-30],
    "an old pickle": pickle.dumps({"model": 1}),
    "a pickle cut": pickle.dumps({"model": [1] * 1000})[:40],
    "the old format": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
    "a zip of nothing": b"PK\x05\x06" + b"\0" * 18,
    "a zip of something else": zipped(b"\x80\x02N."),
    "no pickle in the zip": zipped(b"hello"),
    "an endless pickle": zipped(b"\x80\x02" + b"]" * 100_000),
    "deep": zipped(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    "code": saved({"model": Evil()}),
    "code by STACK_GLOBAL": zipped(pickle.dumps({"model": Evil()}, protocol=4)),
    "2 GB of nothing": calling("__builtin__", "bytearray", LARGE),
    "a storage of 2 GB": calling("torch.storage", "UntypedStorage", LARGE),
    "a tensor of another kind": calling("torch._utils", "_rebuild_sparse_tensor", b")"),
    "encoded": calling("_codecs", "encode", b"X\x01\x00\x00\x00a\x85"),
    "a memo of 2^31 entries": zipped(b"\x80\x02}r\xff\xff\xff\x7f."),
    "packed zeros": zipped(packing=zipfile.ZIP_DEFLATED, zeros=b"\0" * (1 << 24)),
    "a size that is not there": inflated(),
    "names of 5 MiB": zipped(b"\x80\x02" + b"N0" * (5 << 19) + b"N."),
}
CONTENTS: dict[str, object] = {
    "a number": 17,
    "a list": [torch.zeros(3)],
    "null": None,
    "a tensor": torch.zeros(3),
    "no tensors": {"model": {"0.0.weight": "x"}, "state_dict": {"0": None}},
    "names that are numbers": {1: torch.zeros(1), "model": {2: torch.zeros(1)}, "state_dict": {3: 4}},
    "a model that is a list": {"model": [1], "state_dict": [1]},
    "spread over nothing": {"model": {"6.bias": torch.zeros(1).expand(1 << 40)}},
    "an odd specification": {"state_dict": {}, "pyannote.audio": 5},
}
PLACES: dict[str, Callable[[Path], object]] = {
    "absent": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
}
FILES = {name: (lambda path, data=data: path.write_bytes(data)) for name, data in BYTES.items()}
FILES |= {name: (lambda path, data=data: path.write_bytes(saved(data))) for name, data in CONTENTS.items()} | PLACES


@pytest.mark.parametrize("case", FILES)
def test_hostile_weights_are_a_sentence_of_each_annotator(case: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    path = tmp_path / "weights.pt"
    FILES[case](path)
    for whose, load in LOADERS.items():
        with pytest.raises(AnnotatorError) as refused:
            load(path, "cpu")
        said = str(refused.value)
        assert said.startswith(f"{path}: not the weights of {whose}: ")
        assert "PARLER_WEIGHTS" in said
        assert len(said) < 600
        assert "\n" not in said


@pytest.mark.parametrize("case", ["2 GB of nothing", "a storage of 2 GB", "packed zeros", "a size that is not there"])
def test_hostile_weights_take_neither_memory_nor_time(case: str, tmp_path: Path):
    (tmp_path / "weights.pt").write_bytes(BYTES[case])
    assert refusal(read_torch, tmp_path / "weights.pt").startswith(str(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"warm_up": ("x",)}, {"warm_up": 5}, {"duration": float("nan")}, {"duration": 1e30},
              {"duration": 0}, {"duration": "long"}, {"duration": None}, {"warm_up": (1e-12,)}, {"warm_up": (-1.0,)}],
    ids=str,
)  # fmt: skip
def test_chunks_without_a_length_are_refused(wrong: dict, tmp_path: Path):
    specification = type("Specification", (), {"duration": 6.0, "warm_up": None} | wrong)()
    with pytest.raises(AnnotatorError, match="its chunks have no length"):
        brouhaha.chunk_lengths({"pyannote.audio": {"specifications": specification}}, tmp_path)


def test_what_torch_wrote_is_read(tmp_path: Path):
    (tmp_path / "weights.pt").write_bytes(GOOD)
    assert outcome(read_torch, tmp_path / "weights.pt") == ("read", "{'model': {'a': tensor([1., 1., 1., 1.])}}")
