"""Where a backtest's history comes from: the spec's source and traffic, else the lake's labeled predictions."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.core.backtest import History
from mlops_assets.core.windows import just_after
from mlops_assets.errors import ContractViolationError, InsufficientDataError
from mlops_assets.lake.queries import labelled_predictions, log_versions
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


def load_history(spec: ModelSpec, lake: Lake, *, n_windows: int | None = None) -> History:
    """Return the history of a model: rows that break the contract are left out, as a server refuses them.

    Raises:
        ContractViolationError: A source row breaks the contract, as it would stop training.
        InsufficientDataError: There are no labels, or too few rows.
    """
    source = spec.source()
    rows = spec.traffic() if spec.traffic is not None else _logged(spec, lake)
    columns = [*spec.feature_names, spec.label.name, "event_time", "entity_key"]
    valid, n_rejected, rule = _valid(spec, source[columns])
    if n_rejected:
        raise ContractViolationError(f"{spec.name}: {n_rejected} source rows break the contract ({rule})", [])
    accepted, _, _ = _valid(spec, rows[columns])
    accepted = accepted.assign(observed_at=rows["observed_at"].reset_index(drop=True)[accepted.index])
    return History.of(spec, valid, accepted, n_windows=n_windows)


def scheduled_times(spec: ModelSpec, history: History) -> list[datetime]:
    """Return when the spec's schedule would have started a retraining within the history."""
    begin, end = history.windows[0].start, history.windows[-1].end
    ticks = dg.TimeWindowPartitionsDefinition(
        start=begin, cron_schedule=spec.retraining.schedule, fmt="%Y-%m-%dT%H:%M:%S", timezone="UTC"
    )
    # A tick is the start of a partition, which exists once the next tick has come.
    keys = ticks.get_partition_keys(current_time=end + timedelta(days=800))
    starts = (ticks.time_window_for_partition_key(key).start for key in keys)
    return [datetime.fromtimestamp(start.timestamp(), tz=end.tzinfo) for start in starts if start < end]


def _valid(spec: ModelSpec, frame: "pd.DataFrame") -> "tuple[pd.DataFrame, int, str]":
    """Return the rows that satisfy the contract, how many do not, and the first broken rule."""
    from mlops_assets.core.schema import validate

    result = validate(frame, spec)
    rule = f"{result.cases[0]['column']}: {result.cases[0]['check']}" if result.cases else ""
    return result.valid, len(result.rejected), rule


def _logged(spec: ModelSpec, lake: Lake) -> "pd.DataFrame":
    start, end = (find(spec.name, "predictions", "event_time") for find in (lake.oldest, lake.newest))
    if start is None or end is None:
        raise InsufficientDataError(
            f"{spec.name}: no labeled history: the spec declares no `traffic` and the lake holds no predictions"
        )
    rows = labelled_predictions(lake, spec, log_versions(lake, spec.name), start=start, end=just_after(end))
    return rows.assign(
        **{spec.label.name: rows["observed_label"], "entity_key": rows["entity_key"].fillna(rows["prediction_id"])}
    )
