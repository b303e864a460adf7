"""What the pages for people say about files, commands and settings is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from parler_assets.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SUFFIXES = r"(?:py|sh|md|yaml|toml|txt|j2)"
EXAMPLES = {"mine.py", "mine.yaml"}  # files of the reader's


def page_ids(page: Path) -> str:
    return page.name


def exists(path: str) -> bool:
    """Whether a file or folder is there: from the root, inside the package, or by its name alone."""
    if Path(path).name in EXAMPLES:
        return True
    alone = "/" not in path.strip("/")
    places = [ROOT.glob(path), (ROOT / "parler_assets").glob(path)]
    places += [(ROOT / folder).rglob(path.strip("/")) for folder in ("parler_assets", "tests", "benchmarks") if alone]
    return any(True for place in places for _ in place)


@pytest.mark.parametrize("page", PAGES, ids=page_ids)
def test_every_file_that_is_named_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert not [link for link in links if not (page.parent / link).exists()]
    named = re.findall(rf"(?<![\w/.-])((?:[\w*-]+/)*[\w*-]+\.{SUFFIXES})(?!\w)", text)
    named += re.findall(r"`((?:[\w-]+/)+)`", text)
    named += re.findall(r"<br/>((?:[\w-]+/)+[\w.-]+)", text)
    assert not sorted({path for path in named if not exists(path)})


@pytest.mark.parametrize("page", PAGES, ids=page_ids)
def test_every_command_that_is_named_exists(page: Path):
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    said = set(re.findall(r"[`/]parler-assets ([a-z]\w*)", page.read_text(encoding="utf-8")))
    assert said <= known
    modules = set(re.findall(r"python -m (\w+(?:\.\w+)+)", page.read_text(encoding="utf-8")))
    assert not [name for name in modules if not (ROOT / name.replace(".", "/")).with_suffix(".py").is_file()]


def test_every_command_is_in_the_readme():
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert known <= set(re.findall(r"`parler-assets ([a-z]+)", readme))
    assert len(readme.splitlines()) < 200


def test_every_environment_variable_is_explained():
    sources = (ROOT / "parler_assets").rglob("*.py")
    read = {name for file in sources for name in re.findall(r"\bPARLER_[A-Z0-9_]+", file.read_text(encoding="utf-8"))}
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"(?m)^\| `(PARLER_\w+)`", page))
    assert rows == read, "docs/operations.md has a table of them"


def test_printed_lines_of_the_guides_are_typed_in_the_projects_folder():
    """A shell that nobody prepared finds them: by their path, or as a program of the system."""
    lines = [
        line.strip()
        for page in PAGES
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
    ]
    assert lines
    assert not [line for line in lines if re.match(r"(?:\w+=\S+ )*(?:parler-assets|dagster|python|pytest)\b", line)]
