"""What monitoring and training read from the lake: written once with ibis, run by DuckDB; counts by any engine."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.core.profile import LABEL, SCORE, Counts, Profile, count
from mlops_assets.core.schema import with_features
from mlops_assets.lake.counting import count_rows, less
from mlops_assets.lake.engines import window_table
from mlops_assets.lake.tables import Lake, TableName
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import ibis
    import pandas as pd

ANSWERED_ROLES = ("production", "canary")
_RECORD_COLUMNS = ("event_time", "role", "request_id", "row", "received_at", "journal", "sequence")


@dataclass(frozen=True, slots=True)
class LogVersions:
    """Which versions of the two log tables a reading is pinned to."""

    predictions: int | None
    feedback: int | None


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Rows and labels of one window; `digest` changes with any label in it."""

    n_rows: int
    n_labels: int
    digest: str


def log_versions(lake: Lake, model: str) -> LogVersions:
    """Return the newest versions of a model's predictions and feedback."""
    return LogVersions(lake.version(model, "predictions"), lake.version(model, "feedback"))


def watermark(lake: Lake, spec: ModelSpec, *, clock: Literal["wall", "event"], now: datetime) -> datetime | None:
    """Return the time until which the log is complete, or None before the first prediction.

    Args:
        lake: Holds the log.
        spec: The model.
        clock: "wall" takes `now`; "event" the greatest event or observation time that has been shipped.
        now: The present less the shipping lag.
    """
    if clock == "wall":
        return now if lake.version(spec.name, "predictions") is not None else None
    times = [lake.newest(spec.name, "predictions", "event_time"), lake.newest(spec.name, "feedback", "observed_at")]
    return max((time for time in times if time is not None), default=None)


def labelled_predictions(
    lake: Lake, spec: ModelSpec, versions: LogVersions, *, start: datetime, end: datetime
) -> "pd.DataFrame":
    """Return the unique predictions with event time in [start, end), each with its latest label.

    A retried call counts once: the first record of (request id, row) by (received_at, journal, sequence) stays, and a
    label to any of its ids joins. The latest label by (observed_at, received_at, journal, sequence) wins.

    Returns:
        The record's columns, the features, `observed_label` and `observed_at` (missing where no label came). A feature
        that the log does not have, or has as another kind, is missing in every row.
    """
    connection, predictions = _connect(lake, spec.name, "predictions", versions.predictions)
    if predictions is None:
        return _no_predictions(spec)
    _, feedback = _connect(lake, spec.name, "feedback", versions.feedback, connection)
    joined = _with_labels(_answered(predictions, start, end), feedback)
    frame: pd.DataFrame = joined.order_by(["event_time", "prediction_id"]).to_pandas()
    return with_features(frame, spec)


def window_counts(
    lake: Lake, spec: ModelSpec, profile: Profile, *, start: datetime, end: datetime, engine: str
) -> Counts:
    """Count the unique predictions with event time in [start, end) on a profile; no row comes back from the engine.

    The records of repeated calls are few: everything is counted in one pass, and they are counted off.

    Args:
        lake: Holds the log.
        spec: The model.
        profile: Of the model in production.
        start: Of the window.
        end: Of the window.
        engine: Its URL; see `mlops_assets.lake.engines`.
    """
    files = lake.files(spec.name, "predictions", "event_time", start=start, end=end)
    if not files:
        return count(profile, _no_predictions(spec))
    columns = [*_RECORD_COLUMNS, *profile.by_name, SCORE, LABEL]
    with window_table(engine, files, columns) as logged:
        window = (logged.event_time >= start) & (logged.event_time < end)
        answered = logged.filter(window, logged.role.isin(ANSWERED_ROLES))
        counts = count_rows(answered, profile)
        repeated = _repeated(answered)
        return less(counts, count_rows(repeated, profile)) if repeated.count().to_pyarrow().as_py() else counts


def _repeated(answered: "ibis.Table") -> "ibis.Table":
    """Return all records of a call but its first; only hashes of calls are gathered, so that memory stays small."""
    import ibis

    keyed = answered.filter(answered.request_id != "")
    keyed = keyed.mutate(call=keyed.request_id + ":" + keyed.row.cast("string"))
    hashed = keyed.mutate(digest=keyed.call.hash())
    several = hashed.group_by("digest").aggregate(n_records=hashed.count())
    candidates = hashed.semi_join(several.filter(several.n_records > 1), "digest")
    order = [candidates.received_at, candidates.journal, candidates.sequence]
    placed = candidates.mutate(place=ibis.row_number().over(ibis.window(group_by=candidates.call, order_by=order)))
    return placed.filter(placed.place > 0)


def label_counts(lake: Lake, spec: ModelSpec, *, start: datetime) -> dict[datetime, LabelCount]:
    """Return rows and labels of every monitoring window since `start` that holds predictions."""
    versions = log_versions(lake, spec.name)
    connection, predictions = _connect(lake, spec.name, "predictions", versions.predictions)
    if predictions is None:
        return {}
    _, feedback = _connect(lake, spec.name, "feedback", versions.feedback, connection)
    answered = predictions.filter(predictions.event_time >= start, predictions.role.isin(ANSWERED_ROLES))
    joined = _with_labels(answered, feedback)
    length = int(spec.windows.length.total_seconds())
    seconds = joined.event_time.epoch_seconds() - int(spec.windows.anchor.timestamp())
    known = joined.observed_label.notnull()
    fingerprint = known.ifelse((joined.prediction_id + joined.observed_label).hash() % 1_000_003, 0)
    counts = joined.group_by(place=(seconds / length).floor().cast("int64")).aggregate(
        n_rows=joined.count(), n_labels=known.sum(), fingerprint=fingerprint.sum()
    )
    return {
        spec.windows.anchor + int(row.place) * spec.windows.length: LabelCount(
            int(row.n_rows), int(row.n_labels), f"{row.n_labels}:{row.fingerprint}"
        )
        for row in counts.to_pandas().itertuples()
    }


def answer_counts(lake: Lake, spec: ModelSpec, *, start: datetime, end: datetime) -> dict[str, int]:
    """Return how many predictions with event time in [start, end) each version has logged."""
    _, predictions = _connect(lake, spec.name, "predictions", lake.version(spec.name, "predictions"))
    if predictions is None:
        return {}
    answered = _answered(predictions, start, end)
    counts = answered.group_by("model_version").aggregate(n_rows=answered.count()).to_pandas()
    return {str(row.model_version): int(row.n_rows) for row in counts.itertuples()}


def answer_errors(
    lake: Lake,
    spec: ModelSpec,
    versions: LogVersions,
    *,
    start: datetime,
    end: datetime,
    model_version: str,
    since_generation: int,
    limit: int,
) -> "pd.DataFrame":
    """Return whether each labeled answer of one version was wrong, the newest `limit` of them, oldest first.

    Returns:
        `event_time` and `wrong`, in order of event time.
    """
    connection, predictions = _connect(lake, spec.name, "predictions", versions.predictions)
    _, feedback = _connect(lake, spec.name, "feedback", versions.feedback, connection)
    if predictions is None or feedback is None:
        return _no_predictions(spec)[["event_time"]].assign(wrong=False)
    answered = _answered(predictions, start, end)
    joined = _with_labels(answered, feedback)
    counted = joined.filter(
        joined.observed_label.notnull(),
        joined.model_version == model_version,
        joined.generation >= since_generation,
    )
    newest = counted.order_by([counted.event_time.desc(), counted.prediction_id.desc()]).limit(limit)
    frame: pd.DataFrame = newest.select("event_time", wrong=newest.label != newest.observed_label).to_pandas()
    return frame.iloc[::-1].reset_index(drop=True)


def score_groups(
    lake: Lake, spec: ModelSpec, versions: LogVersions, *, start: datetime, end: datetime, model_version: str
) -> "pd.DataFrame":
    """Return the finite scores that one version answered with, labeled or not, in at most about 2000 groups.

    Returns:
        `score` (mean of a group a thousandth wide), `label` (the answer) and `n_rows`.
    """
    import pandas as pd

    _, predictions = _connect(lake, spec.name, "predictions", versions.predictions)
    if predictions is None:
        return pd.DataFrame({"score": [], "label": [], "n_rows": []})
    answered = _answered(predictions, start, end)
    unique = _with_labels(answered, None)
    scored = unique.filter(unique.model_version == model_version, ~unique.score.isnan(), ~unique.score.isinf())
    groups = scored.group_by(place=(scored.score * 1000).floor(), label=scored.label).aggregate(
        score=scored.score.mean(), n_rows=scored.count()
    )
    frame: pd.DataFrame = groups.order_by(["place", "label"]).to_pandas()
    return frame[["score", "label", "n_rows"]]


def _answered(predictions: "ibis.Table", start: datetime, end: datetime) -> "ibis.Table":
    return predictions.filter(
        predictions.event_time >= start, predictions.event_time < end, predictions.role.isin(ANSWERED_ROLES)
    )


def _with_labels(predictions: "ibis.Table", feedback: "ibis.Table | None") -> "ibis.Table":
    import ibis

    p = predictions
    call = ibis.coalesce(p.request_id.nullif("") + ":" + p.row.cast("string"), p.prediction_id)
    keyed = p.mutate(call=call)
    order = [keyed.received_at, keyed.journal, keyed.sequence]
    ranked = keyed.mutate(place=ibis.row_number().over(ibis.window(group_by=keyed.call, order_by=order)))
    unique = ranked.filter(ranked.place == 0).drop("place")
    if feedback is None:
        none = ibis.null().cast("string")
        return unique.drop("call").mutate(observed_label=none, observed_at=ibis.null().cast("timestamp('UTC')"))
    labels = keyed.select("prediction_id", "call").join(
        feedback.select("prediction_id", "label", "observed_at", "received_at", "journal", "sequence"), "prediction_id"
    )
    newest = [labels[name].desc() for name in ("observed_at", "received_at", "journal", "sequence")]
    placed = labels.mutate(place=ibis.row_number().over(ibis.window(group_by=labels.call, order_by=newest)))
    latest = placed.filter(placed.place == 0).select(
        "call", observed_label=placed.label, observed_at=placed.observed_at
    )
    return unique.left_join(latest, "call").drop("call", "call_right")


def _connect(
    lake: Lake, model: str, table: TableName, version: int | None, connection: Any = None
) -> "tuple[Any, ibis.Table | None]":
    """Register one version of a Delta table with DuckDB; its own Delta extension would need a download."""
    import ibis

    connection = connection or ibis.duckdb.connect()
    opened = None if version is None else lake.open(model, table, version)
    if opened is None:
        return connection, None
    return connection, connection.read_parquet(
        opened.file_uris(), table_name=table, hive_partitioning=True, union_by_name=True
    )


def _no_predictions(spec: ModelSpec) -> "pd.DataFrame":
    import pandas as pd

    from serving.formats.record import prediction_schema

    frame: pd.DataFrame = prediction_schema(spec.contract).empty_table().to_pandas()
    return frame.assign(observed_label=pd.Series(dtype=object), observed_at=pd.Series(dtype="datetime64[us, UTC]"))
