"""From source and log to a training snapshot: validated, quarantined, pinned, hashed and stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.attributes import row_metadata
from mlops_assets.core.snapshots import merge_snapshot
from mlops_assets.core.windows import just_after, snapshot_end
from mlops_assets.errors import ContractViolationError, InsufficientDataError, SupersededError
from mlops_assets.lake.queries import LogVersions, labelled_predictions, log_versions
from mlops_assets.lake.tables import Lake, content_hash
from mlops_assets.resources.lake import LakeResource
from mlops_assets.spec import ModelSpec
from serving.formats.release import Release, ReleaseStore

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SourceData:
    """One version of the source table; `end` is just after its newest row, `source_version` what the spec calls it."""

    version: int
    n_rows: int
    end: datetime
    source_version: str | None = None


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
    """One training snapshot: a version of the reference table, its content hash and its end in event time.

    Attributes:
        source_version: Of the source that it was taken from; None if the spec tells none, or if it was pinned.
    """

    version: int
    content: str
    end: datetime
    n_rows: int
    source_version: str | None = None


def load_source(spec: ModelSpec, lake: Lake) -> tuple[SourceData, dict[str, Any]]:
    """Validate the source, write it to the lake if it changed, and return the stored version with its metadata.

    Raises:
        ContractViolationError: Rows break the contract; they are in the quarantine.
        InsufficientDataError: The source is empty.
    """
    import pyarrow as pa

    # Asked for before the rows are read: a change in between then counts as one that is still to come.
    source_version = spec.source_version() if spec.source_version else None
    frame = spec.source()
    if frame.empty:
        raise InsufficientDataError(f"{spec.name}: the source returned no rows; check the spec's `source`")
    enforce_contract(spec, lake, frame, what="source")
    content = content_hash(frame)
    version = lake.version(spec.name, "source")
    if version is None or content_hash(lake.read(spec.name, "source")) != content:
        version = lake.replace(spec.name, "source", pa.Table.from_pandas(frame, preserve_index=False))
    stored = SourceData(version, len(frame), just_after(frame["event_time"].max().to_pydatetime()), source_version)
    metadata = {**row_metadata(frame), "content_hash": content, "delta_version": version}
    return stored, metadata | ({} if source_version is None else {"source_version": source_version})


def enforce_contract(spec: ModelSpec, lake: Lake, frame: "pd.DataFrame", *, what: str) -> None:
    """Raise unless every row satisfies the contract, having put those that do not into the quarantine.

    Raises:
        ContractViolationError: Carries the failing cases.
    """
    from mlops_assets.core.schema import validate

    result = validate(frame, spec)
    if not result.cases:
        return
    quarantine(spec, lake, result.rejected)
    rules = "; ".join(f"{case['column']}: {case['check']}" for case in result.cases[:3])
    raise ContractViolationError(
        f"{spec.name}: {len(result.rejected)} of {len(frame)} {what} rows break the contract ({rules}); "
        f"they are in the lake's quarantine",
        result.cases,
    )


def refuse_superseded(spec: ModelSpec, store: ReleaseStore, tags: Mapping[str, str]) -> None:
    """Raise if what a sensor decided on has been answered since, by a retraining that was queued before this one.

    Raises:
        SupersededError: Names the release that answered it.
    """
    asked_for = tags.get("mlops/source_version")
    if asked_for is not None and asked_for == trained_source_version(store.history(spec.name)):
        raise SupersededError(f"{spec.name}: superseded, version {asked_for} of the source has been trained on")
    decided_until, latest = tags.get("mlops/decided_until"), store.latest(spec.name)
    if not decided_until or latest is None or latest.data_until is None:
        return
    if datetime.fromisoformat(decided_until) <= latest.data_until:
        raise SupersededError(
            f"{spec.name}: superseded, generation {latest.generation} has used the data until {latest.data_until}"
        )


def trained_source_version(chain: Sequence[Release]) -> str | None:
    """Return the version of the source that the newest training has read, a refused one too; None if none told."""
    told = (release.evidence.get("source_version") for release in reversed(chain))
    return next((version for version in told if version is not None), None)


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
    """Decide the training window and count what the log holds in it.

    It ends with the source where the log has no label to add: rows of long ago can be trained on today.
    """
    versions = log_versions(lake.tables, spec.name)
    for end in dict.fromkeys((snapshot_end(source.end, lake.watermark(spec), spec.windows), source.end)):
        frame = labelled_predictions(lake.tables, spec, versions, start=end - spec.training.history, end=end)
        n_labels = int(frame["observed_label"].notna().sum())
        if n_labels:
            break
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
        ContractViolationError: A row of a new snapshot breaks the contract.
    """
    import pandas as pd

    if pinned_version is not None:
        newest = lake.version(spec.name, "reference")
        if newest is None or pinned_version > newest:
            raise InsufficientDataError(f"{spec.name}: reference version {pinned_version} does not exist")
        frame = lake.read(spec.name, "reference", pinned_version)
        return frame, frame["snapshot_end"].iloc[0].to_pydatetime()
    settled = lake.read(spec.name, "source", source.version)
    logged = labelled_predictions(lake, spec, joined.versions, start=joined.start, end=joined.end)
    logged = logged.assign(
        **{
            spec.label.name: logged["observed_label"],
            "entity_key": logged["entity_key"].fillna(logged["prediction_id"]),
        }
    )
    frame = merge_snapshot(spec, settled, logged, start=joined.start, end=joined.end)
    enforce_contract(spec, lake, frame.drop(columns="taken_from"), what="snapshot")
    return frame.assign(snapshot_end=pd.Timestamp(joined.end)), joined.end


def store_snapshot(
    spec: ModelSpec,
    lake: Lake,
    frame: "pd.DataFrame",
    end: datetime,
    pinned_version: int | None,
    source_version: str | None = None,
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
    return ReferenceData(version, content, end, len(frame), None if pinned_version is not None else source_version)
