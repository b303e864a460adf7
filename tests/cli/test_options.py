"""What commands share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from parler_assets.cli.options import typed

PROGRAM = Path(sys.executable).with_name("parler-assets")


@pytest.mark.parametrize(
    ("folder", "activated", "program"),
    [
        (PROGRAM.parents[2], False, PROGRAM.relative_to(PROGRAM.parents[2])),
        (PROGRAM.parents[2], True, "parler-assets"),
        (Path("/"), False, PROGRAM.relative_to("/")),
        (None, False, PROGRAM),
        (None, True, "parler-assets"),
    ],
)
def test_a_printed_command_can_be_typed_where_it_is_read(folder, activated, program, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(folder or tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([*([str(PROGRAM.parent)] if activated else []), "/usr/bin"]))
    assert typed("run --recipe mine.yaml") == f"{program} run --recipe mine.yaml"
