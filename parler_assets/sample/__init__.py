"""The sample: speech synthesized at run time, and the small base checkpoint that the sample recipe starts from.

Importing it makes the source `synthetic` known to `speech.sources`: the definitions and the command line do.
"""

from __future__ import annotations

from pathlib import Path

from parler_assets.recipe import SyntheticSource
from parler_assets.speech import sources


def base_path() -> Path:
    """The checkpoint shipped with the package, made by `python -m parler_assets.sample.pretraining`."""
    return Path(__file__).with_name("base")


def _synthetic(source: SyntheticSource, cache: Path) -> sources.Source:
    from parler_assets.sample.source import SyntheticCorpus

    return SyntheticCorpus(source)


def _descriptions(source: SyntheticSource) -> dict[str, str]:
    from parler_assets.sample.published import descriptions

    return descriptions(source)


sources.register(SyntheticSource, _synthetic, _descriptions)
