"""What every asset of a model says about itself in the UI: group, owners, tags, kinds, columns, counts."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.code_version import code_version
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.drift import WindowDrift
    from mlops_assets.core.feature_drift import FeatureDrift


def asset_attributes(spec: ModelSpec, group: str, *, kinds: set[str]) -> dict[str, Any]:
    """Return the keyword arguments shared by a model's assets of one stage."""
    return {
        "key_prefix": [spec.name],
        "group_name": group,
        "owners": list(spec.owners),
        "tags": {"mlops/model": spec.name, **spec.tags},
        "kinds": kinds,
        "code_version": code_version(spec),
    }


def row_metadata(frame: "pd.DataFrame") -> dict[str, Any]:
    """Return row count and column schema for the UI."""
    columns = [dg.TableColumn(str(name), str(kind)) for name, kind in frame.dtypes.items()]
    return {"dagster/row_count": len(frame), "dagster/column_schema": dg.TableSchema(columns=columns)}


def violation_table(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the failing cases of a contract as a table for the UI, at most 100."""
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn("column", "string"),
            dg.TableColumn("check", "string"),
            dg.TableColumn("value", "string"),
            dg.TableColumn("row", "int"),
            dg.TableColumn("count", "int"),
        ]
    )
    records = [
        dg.TableRecord(
            {
                "column": str(case["column"]),
                "check": str(case["check"]),
                "value": str(case["value"])[:80],
                "row": -1 if case["row"] is None else int(case["row"]),
                "count": int(case["count"]),
            }
        )
        for case in cases[:100]
    ]
    return {"violations": dg.MetadataValue.table(records=records, schema=schema), "violation_count": len(cases)}


_FEATURE_COLUMNS = {
    "rank": "By strength: drifted features first, then by Jensen-Shannon distance; 0 is the model's own answer.",
    "feature": "Name.",
    "kind": "A number or a category.",
    "drifted": "Whether the rule of the spec says so.",
    "votes": "How many of the three methods exceed their threshold.",
    "psi": "Population stability index, in nats.",
    "js_distance": "Jensen-Shannon distance, base 2.",
    "ks_statistic": "Kolmogorov-Smirnov statistic of a number.",
    "cramers_v": "Effect of the chi-square test of a category.",
    "p_adjusted": "The test's p-value after Benjamini-Hochberg.",
    "wasserstein": "In standard deviations of the reference.",
    "missing_reference": "Share of missing values in the reference.",
    "missing_current": "Share of missing values in the window.",
    "missing_p_adjusted": "Of the change of that share, after Benjamini-Hochberg.",
    "unseen_share": "Share of rows on values that the reference has not.",
    "counted": "Whether the feature decides about the window.",
    "seasonal": "Whether the spec declares it seasonal.",
    "reference": "Compared with the training data, or with the same phase of the season.",
    "p_value": "Of the test, not adjusted.",
}


def feature_table(drift: "WindowDrift") -> dg.MetadataValue:
    """Return every statistic of the model's own answers, and then of all features, the strongest drift first."""
    ranked = [*((0, answer) for answer in drift.predictions), *enumerate(drift.ranked, start=1)]
    if not ranked:
        return dg.MetadataValue.text("no features")
    columns = [dg.TableColumn(name, description=told) for name, told in _FEATURE_COLUMNS.items()]
    records = [dg.TableRecord(_feature_record(rank, feature)) for rank, feature in ranked]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))


def _feature_record(rank: int, feature: "FeatureDrift") -> dict[str, Any]:
    return {
        "rank": rank,
        "feature": feature.name,
        "kind": feature.kind,
        "drifted": feature.drifted,
        "votes": feature.votes,
        "psi": _rounded(feature.population_stability_index),
        "js_distance": _rounded(feature.jensen_shannon_distance),
        "ks_statistic": _rounded(feature.ks_statistic),
        "cramers_v": _rounded(feature.cramers_v),
        "p_adjusted": _rounded(feature.adjusted_p_value),
        "wasserstein": _rounded(feature.wasserstein_distance),
        "missing_reference": _rounded(feature.missing_share_reference),
        "missing_current": _rounded(feature.missing_share_current),
        "missing_p_adjusted": _rounded(feature.adjusted_missing_p_value),
        "unseen_share": _rounded(feature.unseen_share),
        "counted": feature.counted,
        "seasonal": feature.seasonal,
        "reference": feature.reference,
        "p_value": _rounded(feature.p_value),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
