"""A terminal and a locale that know no Unicode: commands start again in UTF-8, and show what they can."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAYS = (
    "import sys, typer; from parler_assets.cli import app;"
    "write = lambda: open(sys.argv[1], 'w').write('\\u65e5\\u672c');"
    "app.app = lambda: (write(), typer.echo('\\u2713 \\xfc'), typer.echo('\\u2717', err=True));"
    "app.main()"
)
PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
TERMINALS = {
    "ASCII": (PLAIN, "✓ ü\n".encode()),  # click takes ASCII for a mistake
    "Latin-1": (PLAIN | {"PYTHONIOENCODING": "iso-8859-1"}, "? ü\n".encode("latin-1")),
    "Latin-1 in a UTF-8 locale": ({"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "iso-8859-1"}, "? ü\n".encode("latin-1")),
    "Unicode": ({"LC_ALL": "C.UTF-8"}, "✓ ü\n".encode()),
}


@pytest.mark.parametrize("terminal", TERMINALS)
def test_what_a_terminal_cannot_show_ends_nothing(tmp_path, terminal: str):
    settings, shown = TERMINALS[terminal]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    file = tmp_path / "ü—日本 50%"
    command = [sys.executable, "-c", SAYS, str(file)]
    done = subprocess.run(command, env=kept | settings, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, shown), done.stderr
    assert file.read_text("utf-8") == "日本"
