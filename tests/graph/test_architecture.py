"""Rules that keep the layers apart: the library knows no orchestrator, and definitions load no heavy package."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "parler_assets"
LIBRARY = sorted(path for folder in ("recipe", "speech", "tts", "sample") for path in (PACKAGE / folder).rglob("*.py"))
DAGSTER_SIDE = [
    *(
        PACKAGE / name
        for name in (
            "definitions.py",
            "automation.py",
            "resources.py",
            "launchpad.py",
            "metadata.py",
            "cli.py",
            "tracking.py",
            "logbook.py",
            "sweep_record.py",
            "training_page.py",
        )
    ),
    *sorted((PACKAGE / "assets").glob("*.py")),
]
HEAVY = {"torch", "transformers", "datasets", "vllm", "mlflow", "numpy", "pandas", "pyarrow", "matplotlib", "scipy"}


def imported(path: Path, everywhere: bool) -> set[str]:
    """Top-level names of the packages a file imports: anywhere in it, or at module level only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree)) if everywhere else tree.body
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_library_imports_no_orchestrator(path: Path):
    assert not imported(path, everywhere=True) & {"dagster", "mlflow"}


@pytest.mark.parametrize("path", DAGSTER_SIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_dagster_side_imports_nothing_heavy_at_module_level(path: Path):
    assert not imported(path, everywhere=False) & HEAVY


@pytest.mark.parametrize("path", [*LIBRARY, *DAGSTER_SIDE], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_loads_pickled_or_remote_code(path: Path):
    """`weights_only=True` and `trust_remote_code=False` always, pickle never."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not imported(path, everywhere=True) & {"pickle", "dill", "joblib", "cloudpickle"}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        keywords = {word.arg: word.value for word in call.keywords}
        trusted = keywords.get("trust_remote_code", ast.Constant(False))
        assert isinstance(trusted, ast.Constant), f"{path.name}:{call.lineno}: say trust_remote_code=False"
        assert trusted.value is False, f"{path.name}:{call.lineno}: say trust_remote_code=False"
        if ast.unparse(call.func) == "torch.load":
            safe = keywords.get("weights_only")
            assert isinstance(safe, ast.Constant), f"{path.name}:{call.lineno}: say weights_only=True"
            assert safe.value is True, f"{path.name}:{call.lineno}: say weights_only=True"


def test_definitions_load_without_heavy_packages():
    """Every step in the UI is a process that loads the definitions first."""
    program = "import sys, parler_assets.definitions; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.split(".")[0] for name in loaded} & HEAVY


def test_packages_that_break_transformers_are_absent_or_work():
    """The registry's torchaudio and torchvision are CUDA builds: beside a CPU torch they break transformers."""
    for name in ("torchaudio", "torchvision", "torchcodec"):
        if importlib.util.find_spec(name):
            subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
