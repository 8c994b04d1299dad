"""What every asset of a model says about itself in the UI: group, owners, tags, kinds, columns, counts, drift."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.drift import WindowDrift

CODE_VERSION = "1"


def asset_attributes(spec: ModelSpec, group: str, *, kinds: set[str]) -> dict[str, Any]:
    """Return the keyword arguments shared by a model's assets of one stage."""
    return {
        "key_prefix": [spec.name],
        "group_name": group,
        "owners": list(spec.owners),
        "tags": {"mlops/model": spec.name, **spec.tags},
        "kinds": kinds,
        "code_version": CODE_VERSION,
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


def feature_table(drift: "WindowDrift") -> dg.MetadataValue:
    """Return the statistics of all features as a table, the most drifted first; the model's own answers at the end."""
    ranked = sorted(drift.features, key=lambda f: (not f.drifted, -(f.population_stability_index or 0.0)))
    records = [
        dg.TableRecord(
            {
                "feature": feature.name,
                "drifted": feature.drifted,
                "votes": int(feature.votes),
                "psi": _rounded(feature.population_stability_index),
                "js_distance": _rounded(feature.jensen_shannon_distance),
                "ks_or_cramers_v": _rounded(feature.ks_statistic if feature.kind == "number" else feature.cramers_v),
                "p_adjusted": _rounded(feature.adjusted_p_value),
                "wasserstein": _rounded(feature.wasserstein_distance),
                "missing_share": _rounded(feature.missing_share_current),
                "unseen_share": _rounded(feature.unseen_share),
                "counted": feature.counted,
                "seasonal": feature.seasonal,
            }
        )
        for feature in (*ranked, *drift.predictions)
    ]
    return dg.MetadataValue.table(records=records) if records else dg.MetadataValue.text("no features")


def _rounded(value: float | None) -> float:
    return -1.0 if value is None else round(float(value), 4)
