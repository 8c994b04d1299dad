"""Where the self-contained HTML reports go, as a Dagster resource."""

from pathlib import Path

import dagster as dg


class ReportFolder(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A folder with one folder per model."""

    root: str

    def of(self, model: str) -> Path:
        """Return the folder of a model's reports."""
        return Path(self.root) / model
