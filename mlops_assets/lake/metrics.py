"""The tables `drift_metrics` and `performance_metrics`: what every report said, the last word per window counting."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.core.windows import Window
from mlops_assets.lake.tables import Lake

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ReportTable = Literal["drift_metrics", "performance_metrics"]


def store_report(
    lake: Lake,
    model: str,
    table: ReportTable,
    *,
    window: Window,
    model_version: str,
    generation: int,
    summary: dict[str, Any],
    rows: list[dict[str, Any]],
) -> int:
    """Append one report: a row per measured value, and one row with the summary as JSON.

    Args:
        lake: Where.
        model: The model's name.
        table: Which of the two.
        window: The monitoring window.
        model_version: The version that the report is about.
        generation: The newest of the release chain when the report was made.
        summary: What decisions read again; JSON-serializable.
        rows: `subject` (feature or metric), `method`, `value`, `p_value`, `flag`.
    """
    import pyarrow as pa

    common = {
        "window_start": window.start,
        "window_end": window.end,
        "model_version": model_version,
        "generation": generation,
        "computed_at": datetime.now(UTC),
    }
    head = {"subject": "", "method": "summary", "value": None, "p_value": None, "flag": None}
    records = [
        {**common, **head, "summary": json.dumps(summary, allow_nan=False)},
        *({**common, **row, "summary": None} for row in rows),
    ]
    return lake.append(model, table, pa.Table.from_pylist(records, schema=_schema()))


def latest_summaries(lake: Lake, model: str, table: ReportTable) -> list[dict[str, Any]]:
    """Return the newest summary of every window, oldest window first, with window, version and generation added."""
    import pyarrow.compute as pc

    columns = ["window_start", "window_end", "model_version", "generation", "computed_at", "summary"]
    found = lake.scan(model, table, columns=columns, rows=pc.field("method") == "summary")
    newest: dict[datetime, dict[str, Any]] = {}
    for row in found.to_pylist() if found is not None else ():
        known = newest.get(row["window_start"])
        if known is None or row["computed_at"] > known["computed_at"]:
            newest[row["window_start"]] = {**row, **json.loads(row.pop("summary"))}
    return [newest[start] for start in sorted(newest)]


def history_of(lake: Lake, model: str, table: ReportTable, method: str) -> "pd.DataFrame":
    """Return one method's values as a frame, windows in rows and subjects in columns; newest report per window."""
    import pyarrow.compute as pc

    columns = ["window_start", "computed_at", "subject", "value"]
    found = lake.scan(model, table, columns=columns, rows=pc.field("method") == method)
    if found is None:
        import pandas as pd

        return pd.DataFrame()
    frame: pd.DataFrame = found.to_pandas()
    frame = frame.sort_values("computed_at").drop_duplicates(["window_start", "subject"], keep="last")
    return frame.pivot(index="window_start", columns="subject", values="value").sort_index()


def _schema() -> "pa.Schema":
    import pyarrow as pa

    time = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("window_start", time),
            ("window_end", time),
            ("model_version", pa.string()),
            ("generation", pa.int64()),
            ("computed_at", time),
            ("subject", pa.string()),
            ("method", pa.string()),
            ("value", pa.float64()),
            ("p_value", pa.float64()),
            ("flag", pa.bool_()),
            ("summary", pa.string()),
        ]
    )
