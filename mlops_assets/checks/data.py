"""Checks of stage `data` that warn; those that stop the line are part of the assets themselves."""

from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.snapshots import LabelledPredictions, ReferenceData, SourceData
from mlops_assets.resources.lake import LakeResource
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


def build_data_checks(spec: ModelSpec) -> list[dg.AssetChecksDefinition]:
    """Return `most_predictions_are_labelled`, and of source and snapshot `few_values_are_missing_or_extreme`."""

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

    @dg.asset_check(asset=dg.AssetKey([spec.name, "source_data"]), name="few_values_are_missing_or_extreme")
    def source_is_plausible(source_data: SourceData, lake: LakeResource) -> dg.AssetCheckResult:
        """Warns when a column has more missing values or values beyond three deviations than the spec expects."""
        return quality_check(spec, lake.tables.read(spec.name, "source", source_data.version))

    @dg.asset_check(asset=dg.AssetKey([spec.name, "reference_data"]), name="few_values_are_missing_or_extreme")
    def snapshot_is_plausible(reference_data: ReferenceData, lake: LakeResource) -> dg.AssetCheckResult:
        """Warns when a column has more missing values or values beyond three deviations than the spec expects."""
        return quality_check(spec, lake.tables.read(spec.name, "reference", reference_data.version))

    return [most_predictions_are_labelled, source_is_plausible, snapshot_is_plausible]


def quality_check(spec: ModelSpec, frame: "pd.DataFrame") -> dg.AssetCheckResult:
    """Return the outcome of `few_values_are_missing_or_extreme`: a table with a row a feature."""
    from mlops_assets.core.quality import measure_quality

    columns = measure_quality(frame, spec)
    suspicious = [column.name for column in columns if column.suspicious]
    records = [
        dg.TableRecord(
            {
                "feature": column.name,
                "missing_share": _rounded(column.missing_share),
                "extreme_share": _rounded(column.extreme_share),
                "suspicious": column.suspicious,
            }
        )
        for column in sorted(columns, key=lambda column: not column.suspicious)
    ]
    return dg.AssetCheckResult(
        passed=not suspicious,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"More missing or extreme values than expected: {', '.join(suspicious)}." if suspicious else None,
        metadata={
            "suspicious_features": suspicious,
            "maximum_missing_share": spec.quality.maximum_missing_share,
            "maximum_extreme_share": spec.quality.maximum_extreme_share,
            "columns": dg.MetadataValue.table(records=records),
        },
    )


def _rounded(share: float | None) -> float:
    """-1 stands for what can not be measured: tables of the UI hold no nulls."""
    return -1.0 if share is None else round(share, 4)
