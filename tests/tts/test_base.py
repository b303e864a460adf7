"""The digest of a checkpoint: of its content, read once, and again as soon as a file was touched."""

from __future__ import annotations

import os

import pytest

from parler_assets.storage import files
from parler_assets.tts.base import checkpoint_digest


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_checkpoint_is_read_once(checkpoint, monkeypatch):
    read: list[str] = []
    sha256_of = files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: read.append(path.name) or sha256_of(path))
    for file in checkpoint.iterdir():
        os.utime(file, (1, 1))  # not written a moment ago: such a file is read again
    assert checkpoint_digest(checkpoint) == checkpoint_digest(checkpoint) == checkpoint_digest(checkpoint / ".")
    assert sorted(read) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("how", ["written over", "replaced", "written over with its old time"])
def test_changed_weights_of_the_same_size_are_another_checkpoint(checkpoint, how):
    before, file = checkpoint_digest(checkpoint), checkpoint / "model.safetensors"
    old = file.stat()
    if how == "replaced":
        (checkpoint / "new").write_bytes(b"WEIGHTS")
        (checkpoint / "new").replace(file)
    else:
        file.write_bytes(b"WEIGHTS")
    if how == "written over with its old time":
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert checkpoint_digest(checkpoint) != before
