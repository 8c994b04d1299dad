"""Where interrupted backtests go on from, as a Dagster resource."""

from pathlib import Path

import dagster as dg


class BacktestStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A folder with one folder per backtest."""

    root: str

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.root)
