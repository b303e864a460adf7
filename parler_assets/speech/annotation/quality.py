"""What an estimator of speech quality gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """STOI (0 to 1), PESQ (1 to 4.64), SI-SDR (dB); None where not measured."""

    stoi: float | None = None
    pesq: float | None = None
    si_sdr: float | None = None
    reason: str | None = None
