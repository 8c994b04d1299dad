"""What every asset of a model says about itself in the UI: group, owners, tags, kinds, columns, counts."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

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
