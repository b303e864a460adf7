"""Who looks after a recipe's assets, how long a run may take, and when its scores count as overdue."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from parler_assets.recipe.section import Section

OWNER = r"team:[\w.-]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}"


class Operations(Section):
    """What the orchestrator is told about this recipe; nothing that is computed depends on it."""

    owners: list[str] = Field([], description="whom to ask about these assets: e-mail addresses, or team:NAME")
    max_hours: float = Field(
        168,
        gt=0,
        description="a job's run that takes longer is ended; what it finished is kept and reused",
    )
    fresh_days: float | None = Field(
        None, gt=0, description="days until a scorecard counts as overdue; for where a schedule is on. null: never"
    )

    @field_validator("owners")
    @classmethod
    def _as_dagster_takes_them(cls, owners: list[str]) -> list[str]:
        for owner in owners:
            if not re.fullmatch(OWNER, owner):
                raise ValueError(f"{owner!r}: write an e-mail address, or a team as team:NAME")
        return owners
