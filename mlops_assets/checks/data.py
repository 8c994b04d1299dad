"""Checks of stage `data` that warn; those that stop the line are part of the assets themselves."""

import dagster as dg

from mlops_assets.assets.snapshots import LabelledPredictions
from mlops_assets.spec import ModelSpec


def build_data_checks(spec: ModelSpec) -> list[dg.AssetChecksDefinition]:
    """Return `most_predictions_are_labelled`."""

    @dg.asset_check(asset=dg.AssetKey([spec.name, "labelled_predictions"]))
    def most_predictions_are_labelled(labelled_predictions: LabelledPredictions) -> dg.AssetCheckResult:
        """Warns when more labels are missing than training would accept."""
        n_rows, n_labels = labelled_predictions.n_rows, labelled_predictions.n_labels
        coverage = n_labels / n_rows if n_rows else 1.0
        return dg.AssetCheckResult(
            passed=coverage >= 1 - spec.training.maximum_null_label_share,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"label_coverage": coverage, "rows": n_rows, "labels": n_labels},
        )

    return [most_predictions_are_labelled]
