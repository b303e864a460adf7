"""What import-linter cannot hold (its contracts are in pyproject.toml): light definitions, and no unsafe loading."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "parler_assets"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "transformers", "datasets", "vllm", "mlflow", "numpy", "pandas", "pyarrow", "matplotlib", "scipy"}
CODE_IN_DATA = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}


def unsafe(source: str) -> list[str]:
    """Whatever in a program's text loads pickled or remote code: `torch.load` says `weights_only=True` or is named."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {a.name}" for a in node.names if a.name.split(".")[0] in CODE_IN_DATA]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in CODE_IN_DATA:
            found.append(f"{node.lineno}: from {node.module}")
        if isinstance(node, ast.Call):
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if words.get("trust_remote_code", "False") != "False":
                found.append(f"{node.lineno}: trust_remote_code")
            if ast.unparse(node.func) == "torch.load" and words.get("weights_only") != "True":
                found.append(f"{node.lineno}: torch.load")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_loads_pickled_or_remote_code(path: Path):
    assert not unsafe(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from cloudpickle import loads",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=wanted)",
        "def f():\n    import joblib.memory",
    ],
)
def test_what_is_unsafe_is_found(line: str):
    assert unsafe(line)


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


def declared() -> set[str]:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return {re.split(r"[^\w.-]", one)[0].lower().replace("_", "-") for one in wanted}


def test_every_package_that_is_imported_is_declared():
    """What only comes along with another package goes when that one drops it."""
    given, known, missing = metadata.packages_distributions(), declared(), {}
    here = {*sys.stdlib_module_names, "parler_assets", "parselmouth", "xls_r_sqa"}  # of praat-parselmouth, of a judge
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []
            for root in {name.split(".")[0] for name in names} - here:
                packages = {name.lower().replace("_", "-") for name in given.get(root, [root])}
                missing |= {} if packages & known else {root: file.name}
    assert not missing
