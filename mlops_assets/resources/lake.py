"""The lake as a Dagster resource."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import dagster as dg

from mlops_assets.lake import queries
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Delta tables below one folder, the clock that says until when they are complete, and what counts their rows."""

    root: str
    clock: Literal["wall", "event"] = "wall"
    shipping_lag_seconds: float = 10.0
    engine: str = "duckdb://?memory_limit=512MB"

    @property
    def tables(self) -> Lake:
        """The tables."""
        return Lake(Path(self.root))

    def watermark(self, spec: ModelSpec) -> datetime | None:
        """Return the time until which the model's log is complete, None before the first prediction."""
        now = datetime.now(UTC) - timedelta(seconds=self.shipping_lag_seconds)
        return queries.watermark(self.tables, spec, clock=self.clock, now=now)
