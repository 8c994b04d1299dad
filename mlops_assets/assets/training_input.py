"""The training input against that of the snapshot before: a table and a warning."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import feature_table
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.drift import WindowDrift


@dataclass(frozen=True)
class TrainingInputDrift:
    """How far a snapshot's features are from those of the snapshot before.

    Attributes:
        drift: Of the features that both have, as the same kind.
        not_compared: The other features of the spec: new ones, and those that were of another kind.
    """

    drift: "WindowDrift"
    not_compared: tuple[str, ...]


def training_input_drift(spec: ModelSpec, lake: Lake, frame: "pd.DataFrame") -> TrainingInputDrift | None:
    """Return the drift of a snapshot's features against the newest stored snapshot, or None without one.

    To be asked before the snapshot is stored. Two snapshots share the rows of the time that both cover, so a change
    looks smaller than it is and p-values are too large: what is found is there.
    """
    from mlops_assets.core.drift import score_window
    from mlops_assets.core.profile import build_profile, count
    from mlops_assets.core.schema import has_feature

    if lake.version(spec.name, "reference") is None:
        return None
    before = lake.read(spec.name, "reference")
    shared = {f.name for f in spec.features if has_feature(before, f) and has_feature(frame, f)}
    contract = replace(
        spec.contract,
        numbers=tuple(number for number in spec.contract.numbers if number.name in shared),
        texts=tuple(text for text in spec.contract.texts if text.name in shared),
    )
    profile = build_profile(before, contract)
    minimum = spec.windows.minimum_rows
    drift = score_window(profile, count(profile, frame), spec.drift, spec.features, minimum_rows=minimum)
    return TrainingInputDrift(drift, tuple(name for name in spec.feature_names if name not in shared))


def training_input_check(measured: TrainingInputDrift | None) -> dg.AssetCheckResult:
    """Return the outcome of `training_input_has_not_drifted`; a first snapshot passes."""
    return dg.AssetCheckResult(
        check_name="training_input_has_not_drifted",
        passed=measured is None or measured.drift.verdict != "drifted",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "verdict": "first snapshot" if measured is None else measured.drift.verdict,
            "drifted_features": [] if measured is None else list(measured.drift.drifted_features),
            "features_not_compared": [] if measured is None else list(measured.not_compared),
        },
    )


def training_input_metadata(measured: TrainingInputDrift | None) -> dict[str, Any]:
    """Return the statistics of all features as a table for the UI; nothing for a first snapshot."""
    return {} if measured is None else {"drift_against_the_snapshot_before": feature_table(measured.drift)}
