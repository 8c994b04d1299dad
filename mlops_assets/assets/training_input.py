"""The training input against that of the snapshot before: a table and a warning."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import feature_table
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.drift import WindowDrift


def training_input_drift(spec: ModelSpec, lake: Lake, frame: "pd.DataFrame") -> "WindowDrift | None":
    """Return the drift of a snapshot's features against the newest stored snapshot, or None without one.

    To be asked before the snapshot is stored. Two snapshots share the rows of the time that both cover, so a change
    looks smaller than it is and p-values are too large: what is found is there.
    """
    from mlops_assets.core.drift import score_window
    from mlops_assets.core.profile import build_profile, count

    if lake.version(spec.name, "reference") is None:
        return None
    profile = build_profile(lake.read(spec.name, "reference"), spec.contract)
    minimum = spec.windows.minimum_rows
    return score_window(profile, count(profile, frame), spec.drift, spec.features, minimum_rows=minimum)


def training_input_check(drift: "WindowDrift | None") -> dg.AssetCheckResult:
    """Return the outcome of `training_input_has_not_drifted`; a first snapshot passes."""
    return dg.AssetCheckResult(
        check_name="training_input_has_not_drifted",
        passed=drift is None or drift.verdict != "drifted",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "verdict": "first snapshot" if drift is None else drift.verdict,
            "drifted_features": [] if drift is None else list(drift.drifted_features),
        },
    )


def training_input_metadata(drift: "WindowDrift | None") -> dict[str, Any]:
    """Return the statistics of all features as a table for the UI; nothing for a first snapshot."""
    return {} if drift is None else {"drift_against_the_snapshot_before": feature_table(drift)}
