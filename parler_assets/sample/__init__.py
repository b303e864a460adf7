"""The sample: speech synthesized at run time, and the small base checkpoint that the sample recipe starts from."""

from __future__ import annotations

from pathlib import Path


def base_path() -> Path:
    """The checkpoint shipped with the package, made by `python -m parler_assets.sample.pretrain`."""
    return Path(__file__).with_name("base")
