"""Stage `data`: source rows, predictions with their labels, and the snapshot that training reads."""

from typing import Any

import dagster as dg
from pydantic import Field

from mlops_assets.assets.attributes import asset_attributes, row_metadata, violation_table
from mlops_assets.assets.snapshots import (
    LabelledPredictions,
    SourceData,
    load_source,
    pin_predictions,
    read_or_take_snapshot,
    refuse_superseded,
    store_snapshot,
)
from mlops_assets.assets.training_input import training_input_check, training_input_drift, training_input_metadata
from mlops_assets.core.snapshots import check_label_health
from mlops_assets.errors import ContractViolationError, DataError, LabelHealthError, SupersededError
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec


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
            ),
            dg.AssetCheckSpec(
                "snapshot_satisfies_the_contract",
                asset=dg.AssetKey([spec.name, "reference_data"]),
                blocking=True,
                description="The same contract as for source rows and requests.",
            ),
            dg.AssetCheckSpec(
                "training_input_has_not_drifted",
                asset=dg.AssetKey([spec.name, "reference_data"]),
                description="Warns, never blocks: the features against those of the snapshot before.",
            ),
        ],
    )
    def reference_data(
        context: dg.AssetExecutionContext,
        config: ReferenceConfig,
        source_data: SourceData,
        labelled_predictions: LabelledPredictions,
        lake: LakeResource,
        releases: ReleaseStoreResource,
    ) -> Any:
        """The snapshot of the training window: source rows and labelled predictions, one per entity and event time.

        It ends at the last window boundary whose labels have had their horizon. Give `pinned_version` in the run
        config to train on an earlier snapshot.
        """
        try:
            refuse_superseded(spec, releases.store, context.run.tags)
            frame, end = read_or_take_snapshot(
                spec, lake.tables, source_data, labelled_predictions, config.pinned_version
            )
            health = check_label_health(frame[spec.label.name], spec.training)
        except LabelHealthError as error:
            yield dg.AssetCheckResult(check_name="labels_are_healthy", passed=False, metadata={"reason": str(error)})
            raise dg.Failure(f"{spec.name}: {error}", allow_retries=False) from None
        except ContractViolationError as error:
            yield dg.AssetCheckResult(
                check_name="snapshot_satisfies_the_contract", passed=False, metadata=violation_table(error.cases)
            )
            raise dg.Failure(str(error), metadata=violation_table(error.cases), allow_retries=False) from None
        except (DataError, SupersededError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        yield dg.AssetCheckResult(
            check_name="snapshot_satisfies_the_contract", passed=True, metadata=violation_table([])
        )
        drift = training_input_drift(spec, lake.tables, frame)
        stored = store_snapshot(
            spec, lake.tables, frame, end, config.pinned_version, source_version=source_data.source_version
        )
        yield training_input_check(drift)
        yield dg.AssetCheckResult(check_name="labels_are_healthy", passed=True, metadata=health)
        yield dg.MaterializeResult(
            value=stored,
            data_version=dg.DataVersion(stored.content),
            metadata={
                **row_metadata(frame),
                **health,
                "delta_version": stored.version,
                "snapshot_end": end.isoformat(),
                "rows_from_source": int((frame["taken_from"] == "source").sum()),
                "rows_from_predictions": int((frame["taken_from"] == "prediction").sum()),
                **training_input_metadata(drift),
            },
        )

    return [source_data, labelled_predictions, reference_data]
