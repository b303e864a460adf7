"""Safetensors files that lie, and good ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from parler_assets.intake.weights import tensor_shapes
from tests.support.bounded import refusal


def entry(shape: list, begin: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def packed(header: dict | bytes, data: int = 16, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + b"\0" * data


HOSTILE = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "header without end": packed(b"{}", length=2**63),
    "header of a terabyte": packed(b"{}", length=2**40),
    "header beyond the file": packed(b"{}", length=2**20),
    "no JSON": packed(b"not JSON"),
    "pickle": b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c",
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "deep": packed(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "shape larger than its data": packed({"a": entry([2**40], 0, 16)}),
    "shape that overflows": packed({"a": entry([2**33, 2**33], 0, 16)}),
    "negative shape": packed({"a": entry([-4], 0, 16)}),
    "offsets beyond the file": packed({"a": entry([1024], 0, 4096)}),
    "offsets backwards": packed({"a": entry([4], 16, 0)}),
    "overlap": packed({"a": entry([4], 0, 16), "b": entry([2], 8, 16)}),
    "hole": packed({"a": entry([2], 0, 8), "b": entry([1], 12, 16)}),
    "bytes left over": packed({"a": entry([2], 0, 8)}),
    "unknown type": packed({"a": entry([4], 0, 16, "F1024")}),
    "no shape": packed({"a": {"dtype": "F32", "data_offsets": [0, 16]}}),
    "number of 5,000 digits": packed(
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 16]}}'
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_headers_that_lie_are_refused(case: str, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[case])
    assert refusal(tensor_shapes, path).startswith(f"{path}: ")


def test_weights_that_are_no_files_are_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        assert "no regular file" in refusal(tensor_shapes, path)
    with pytest.raises(FileNotFoundError):
        tensor_shapes(tmp_path / "absent")


def test_shapes_are_those_of_the_tensors(tmp_path: Path):
    save_file({"a": np.zeros((2, 3), np.float16), "b": np.zeros((), np.float32), "c": np.zeros((0, 7))}, tmp_path / "x")
    assert tensor_shapes(tmp_path / "x") == {"a": (2, 3), "b": (), "c": (0, 7)}
