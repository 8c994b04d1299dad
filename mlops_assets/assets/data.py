"""Stage `data`: source rows, predictions with their labels, and the snapshot that training reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mlops_assets.assets.attributes import asset_attributes, row_metadata, violation_table
from mlops_assets.core.windows import just_after, snapshot_end
from mlops_assets.errors import ContractViolationError, DataError, InsufficientDataError, LabelHealthError
from mlops_assets.lake.queries import LogVersions, labelled_predictions, log_versions
from mlops_assets.lake.tables import Lake, content_hash
from mlops_assets.resources.lake import LakeResource
from mlops_assets.spec import ModelSpec, TrainingPolicy

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SourceData:
    """One version of the source table; `end` is just after its newest row."""

    version: int
    n_rows: int
    end: datetime


@dataclass(frozen=True)
class LabelledPredictions:
    """The predictions of the training window, as pinned versions of the two logs."""

    versions: LogVersions
    start: datetime
    end: datetime
    n_rows: int
    n_labels: int


@dataclass(frozen=True)
class ReferenceData:
    """One training snapshot: a version of the reference table, its content hash and its end in event time."""

    version: int
    content: str
    end: datetime
    n_rows: int


class ReferenceConfig(dg.Config):
    """Options of the snapshot."""

    pinned_version: int | None = Field(
        None, ge=0, description="Train on this earlier version of the reference table instead of a new snapshot."
    )


def build_data_assets(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    """Return `source_data`, `labelled_predictions` and `reference_data` of one model."""

    @dg.asset(
        **asset_attributes(spec, "data", kinds={"deltalake", "pandas"}),
        check_specs=[
            dg.AssetCheckSpec(
                "rows_satisfy_the_contract",
                asset=dg.AssetKey([spec.name, "source_data"]),
                blocking=True,
                description="Types, ranges, categories, missing values, uniqueness, no unknown columns.",
            )
        ],
    )
    def source_data(context: dg.AssetExecutionContext, lake: LakeResource) -> Any:
        """Source rows in the lake, each of which satisfies the contract.

        Rows that break the contract go to the table `quarantine` with the rule they break; then nothing is written
        and nothing downstream runs.
        """
        try:
            stored, metadata = load_source(spec, lake.tables)
        except ContractViolationError as error:
            yield dg.AssetCheckResult(
                check_name="rows_satisfy_the_contract", passed=False, metadata=violation_table(error.cases)
            )
            raise dg.Failure(str(error), metadata=violation_table(error.cases), allow_retries=False) from None
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        yield dg.AssetCheckResult(check_name="rows_satisfy_the_contract", passed=True, metadata=violation_table([]))
        yield dg.MaterializeResult(
            value=stored, metadata=metadata, data_version=dg.DataVersion(str(metadata["content_hash"]))
        )

    @dg.asset(
        **asset_attributes(spec, "data", kinds={"deltalake", "duckdb"}),
        ins={"source_data": dg.AssetIn(dg.AssetKey([spec.name, "source_data"]))},
    )
    def labelled_predictions(
        context: dg.AssetExecutionContext, source_data: SourceData, lake: LakeResource
    ) -> dg.MaterializeResult[LabelledPredictions]:
        """Unique logged predictions of the training window, each with its latest label.

        Nothing is copied: the value names the versions of both logs, so the same rows can be read again at any time.
        """
        joined, metadata = pin_predictions(spec, lake, source_data)
        version = f"{joined.versions.predictions}/{joined.versions.feedback}/{joined.end.isoformat()}"
        return dg.MaterializeResult(value=joined, metadata=metadata, data_version=dg.DataVersion(version))

    @dg.asset(
        **asset_attributes(spec, "data", kinds={"deltalake"}),
        ins={name: dg.AssetIn(dg.AssetKey([spec.name, name])) for name in ("source_data", "labelled_predictions")},
        check_specs=[
            dg.AssetCheckSpec(
                "labels_are_healthy",
                asset=dg.AssetKey([spec.name, "reference_data"]),
                blocking=True,
                description="Enough labelled rows, both classes frequent enough, not too many labels missing.",
            )
        ],
    )
    def reference_data(
        context: dg.AssetExecutionContext,
        config: ReferenceConfig,
        source_data: SourceData,
        labelled_predictions: LabelledPredictions,
        lake: LakeResource,
    ) -> Any:
        """The snapshot of the training window: source rows and labelled predictions, one per entity and event time.

        It ends at the last window boundary whose labels have had their horizon. Give `pinned_version` in the run
        config to train on an earlier snapshot.
        """
        try:
            frame, end = read_or_take_snapshot(
                spec, lake.tables, source_data, labelled_predictions, config.pinned_version
            )
            health = check_label_health(frame[spec.label.name], spec.training)
        except LabelHealthError as error:
            yield dg.AssetCheckResult(check_name="labels_are_healthy", passed=False, metadata={"reason": str(error)})
            raise dg.Failure(f"{spec.name}: {error}", allow_retries=False) from None
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        stored = store_snapshot(spec, lake.tables, frame, end, config.pinned_version)
        yield dg.AssetCheckResult(check_name="labels_are_healthy", passed=True, metadata=health)
        yield dg.MaterializeResult(
            value=stored,
            data_version=dg.DataVersion(stored.content),
            metadata={
                **row_metadata(frame),
                **health,
                "delta_version": stored.version,
                "snapshot_end": end.isoformat(),
                "rows_from_source": int((frame["origin"] == "source").sum()),
                "rows_from_predictions": int((frame["origin"] == "prediction").sum()),
            },
        )

    return [source_data, labelled_predictions, reference_data]


def load_source(spec: ModelSpec, lake: Lake) -> tuple[SourceData, dict[str, Any]]:
    """Validate the source, write it to the lake if it changed, and return the stored version with its metadata.

    Raises:
        ContractViolationError: Rows break the contract; they are in the quarantine.
        InsufficientDataError: The source is empty.
    """
    import pyarrow as pa

    from mlops_assets.core.schema import validate

    frame = spec.source()
    if frame.empty:
        raise InsufficientDataError(f"{spec.name}: the source returned no rows; check the spec's `source`")
    result = validate(frame, spec)
    if result.cases:
        quarantine(spec, lake, result.rejected)
        rules = "; ".join(f"{case['column']}: {case['check']}" for case in result.cases[:3])
        raise ContractViolationError(
            f"{spec.name}: {len(result.rejected)} of {len(frame)} source rows break the contract ({rules}); "
            f"they are in the lake's quarantine",
            result.cases,
        )
    content = content_hash(frame)
    version = lake.version(spec.name, "source")
    if version is None or content_hash(lake.read(spec.name, "source")) != content:
        version = lake.replace(spec.name, "source", pa.Table.from_pandas(frame, preserve_index=False))
    stored = SourceData(version, len(frame), just_after(frame["event_time"].max().to_pydatetime()))
    return stored, {**row_metadata(frame), "content_hash": content, "delta_version": version}


def quarantine(spec: ModelSpec, lake: Lake, rejected: "pd.DataFrame") -> None:
    """Append refused rows, as text, with the rule that refused each."""
    import pandas as pd
    import pyarrow as pa

    if rejected.empty:
        return
    rows = pd.DataFrame(
        {
            "rule": rejected["rule"].astype(str),
            "row": [row.to_json(date_format="iso", default_handler=str) for _, row in rejected.iterrows()],
            "refused_at": pd.Timestamp.now(tz="UTC").floor("us"),
        }
    )
    lake.append(spec.name, "quarantine", pa.Table.from_pandas(rows, preserve_index=False))


def pin_predictions(
    spec: ModelSpec, lake: LakeResource, source: SourceData
) -> tuple[LabelledPredictions, dict[str, Any]]:
    """Decide the training window and count what the log holds in it."""
    end = snapshot_end(source.end, lake.watermark(spec), spec.windows)
    versions = log_versions(lake.tables, spec.name)
    frame = labelled_predictions(lake.tables, spec, versions, start=end - spec.training.history, end=end)
    n_labels = int(frame["observed_label"].notna().sum())
    pinned = LabelledPredictions(versions, end - spec.training.history, end, len(frame), n_labels)
    metadata = {
        **row_metadata(frame),
        "labels": n_labels,
        "label_coverage": n_labels / len(frame) if len(frame) else 0.0,
        "window_end": end.isoformat(),
        "predictions_version": -1 if versions.predictions is None else versions.predictions,
        "feedback_version": -1 if versions.feedback is None else versions.feedback,
    }
    return pinned, metadata


def read_or_take_snapshot(
    spec: ModelSpec, lake: Lake, source: SourceData, joined: LabelledPredictions, pinned_version: int | None
) -> "tuple[pd.DataFrame, datetime]":
    """Return the snapshot's rows and its end: an earlier version if one is pinned, else a new one.

    Raises:
        InsufficientDataError: The pinned version does not exist, or a new snapshot has no row.
    """
    import pandas as pd

    if pinned_version is not None:
        newest = lake.version(spec.name, "reference")
        if newest is None or pinned_version > newest:
            raise InsufficientDataError(f"{spec.name}: reference version {pinned_version} does not exist")
        frame = lake.read(spec.name, "reference", pinned_version)
        return frame, frame["snapshot_end"].iloc[0].to_pydatetime()
    columns = [*spec.feature_names, spec.label.name, "event_time", "entity_key"]
    settled = lake.read(spec.name, "source", source.version)[columns].assign(origin="source")
    logged = labelled_predictions(lake, spec, joined.versions, start=joined.start, end=joined.end)
    logged = logged.assign(
        **{
            spec.label.name: logged["observed_label"],
            "entity_key": logged["entity_key"].fillna(logged["prediction_id"]),
        }
    )
    frames = [part for part in (settled, logged[columns].assign(origin="prediction")) if not part.empty]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[(frame["event_time"] >= joined.start) & (frame["event_time"] < joined.end)]
    frame = frame.sort_values(["event_time", "entity_key", "origin"], kind="stable", ignore_index=True)
    frame = frame.drop_duplicates(["entity_key", "event_time"], keep="last", ignore_index=True)
    if frame.empty:
        raise InsufficientDataError(f"{spec.name}: no row lies in the {spec.training.history} before {joined.end}")
    return frame.assign(snapshot_end=pd.Timestamp(joined.end)), joined.end


def store_snapshot(
    spec: ModelSpec, lake: Lake, frame: "pd.DataFrame", end: datetime, pinned_version: int | None
) -> ReferenceData:
    """Write a new snapshot, unless it is pinned or the newest version holds the same rows already."""
    import pyarrow as pa

    content = content_hash(frame)
    version = pinned_version if pinned_version is not None else lake.version(spec.name, "reference")
    if pinned_version is None and (
        version is None or content_hash(lake.read(spec.name, "reference", version)) != content
    ):
        version = lake.replace(spec.name, "reference", pa.Table.from_pandas(frame, preserve_index=False))
    if version is None:
        raise InsufficientDataError(f"{spec.name}: no snapshot was written")
    return ReferenceData(version, content, end, len(frame))


def check_label_health(labels: "pd.Series[str]", policy: TrainingPolicy) -> dict[str, float]:
    """Return the label figures of a snapshot.

    Raises:
        LabelHealthError: Too few labelled rows, too many missing labels, or one class too rare.
    """
    known = labels.dropna()
    missing_share = float(labels.isna().mean())
    minority_share = float(known.value_counts(normalize=True).min()) if known.nunique() > 1 else 0.0
    if len(known) < policy.minimum_rows:
        raise LabelHealthError(f"{len(known)} labelled rows; at least {policy.minimum_rows} are needed")
    if missing_share > policy.maximum_null_label_share:
        raise LabelHealthError(
            f"{missing_share:.1%} of the labels are missing; at most {policy.maximum_null_label_share:.0%} may be"
        )
    if minority_share < policy.minimum_minority_share:
        raise LabelHealthError(
            f"the rarer class has {minority_share:.1%} of the labels; "
            f"at least {policy.minimum_minority_share:.0%} are needed"
        )
    return {"labelled_rows": len(known), "missing_label_share": missing_share, "minority_share": minority_share}
