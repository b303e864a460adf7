"""What somebody most likely meant."""

from __future__ import annotations

import pytest

from parler_assets.intake.near import did_you_mean

KNOWN = ["happy", "sad", "learning_rate", "studio/raw_dataset", "Jerry"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("hapy", "did you mean happy?"),
        ("HAPPY", "did you mean happy?"),
        ("jery", "did you mean Jerry?"),
        ("learning-rate", "did you mean learning_rate?"),
        ("raw_dataset", "did you mean studio/raw_dataset?"),
        ("zzz", ""),
        ("", ""),
        ("happy" * 100_000, ""),
    ],
)
def test_the_nearest_name_is_offered_and_none_where_none_is_near(written: str, meant: str):
    assert did_you_mean(written, KNOWN) == meant
