"""What the codec alone loses: short-time objective intelligibility of every copy against its real clip.

STOI: C. H. Taal et al., IEEE Trans. Audio, Speech, Lang. Process. 19 (2011), by the package pystoi.
"""

from __future__ import annotations

from pathlib import Path

from parler_assets import storage
from parler_assets.speech.audio import Clip, decode
from parler_assets.tts.scoring.statistics import Missing, Outcome, mean

METRIC = "stoi"


def copy_stoi(samples: Path) -> dict[str, float]:
    """Id of each copy to its STOI, 0 to 1.

    Raises:
        ImportError: pystoi is not installed.
    """
    from pystoi import stoi

    pairs: dict[str, dict[str, Clip]] = {}
    for table in storage.iterate(samples, ["system", "prompt", "audio"]):
        for row in table.to_pylist():
            if row["system"] in ("real", "copy"):
                pairs.setdefault(row["prompt"], {})[row["system"]] = decode(row["audio"])
    found = {}
    for prompt, both in pairs.items():
        if len(both) == 2:
            size = min(len(clip.samples) for clip in both.values())
            found[f"copy/{prompt}"] = float(
                stoi(both["real"].samples[:size], both["copy"].samples[:size], both["real"].rate)
            )
    return found


def copy_score(samples: Path) -> tuple[dict[str, float], Outcome]:
    """STOI of each copy, and their mean."""
    try:
        found = copy_stoi(samples)
    except ImportError:
        return {}, Missing(METRIC, "copy", "pystoi is not installed")
    return found, mean(METRIC, "copy", list(found.values()), "copies against their real clips")
