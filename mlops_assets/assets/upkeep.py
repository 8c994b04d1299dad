"""Stage `monitoring`: the lake's tables are kept quick to open, and no larger than the past that one can ask for."""

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes
from mlops_assets.assets.columns import record_columns
from mlops_assets.lake.tables import TABLES, Lake
from mlops_assets.lake.upkeep import TableUpkeep, keep_up
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from serving.formats.release import ReleaseStore


def build_upkeep_assets(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    """Return `lake_upkeep` of one model."""

    @dg.asset(**asset_attributes(spec, "monitoring", kinds={"deltalake"}))
    def lake_upkeep(lake: LakeResource, releases: ReleaseStoreResource) -> dg.MaterializeResult[None]:
        """Compacts every table of the model and removes files that no readable version needs.

        Versions within the spec's `upkeep.time_travel` stay readable, and for good the snapshots that promoted versions
        were trained on. It can run at any time: servers go on shipping, readers go on reading.
        """
        done = [one for one in keep_up_tables(spec, lake.tables, releases.store) if one is not None]
        records = [
            dg.TableRecord({name: getattr(one, name) for name in TableUpkeep.__dataclass_fields__}) for one in done
        ]
        return dg.MaterializeResult(
            metadata={
                "files_before": sum(one.files_before for one in done),
                "files_after": sum(one.files_after for one in done),
                "bytes_before": sum(one.bytes_before for one in done),
                "bytes_after": sum(one.bytes_after for one in done),
                "removed_files": sum(one.removed_files for one in done),
                "dagster/row_count": len(records),
                **record_columns(records),
                "tables": dg.MetadataValue.table(records) if records else dg.MetadataValue.text("no tables yet"),
            }
        )

    return [lake_upkeep]


def keep_up_tables(spec: ModelSpec, lake: Lake, store: ReleaseStore) -> list[TableUpkeep | None]:
    """Keep up every table of a model."""
    pinned = {"reference": pinned_snapshots(spec, lake, store)}
    return [
        keep_up(lake, spec.name, table, horizon=spec.upkeep.time_travel, pinned=pinned.get(table, ()))
        for table in TABLES
    ]


def pinned_snapshots(spec: ModelSpec, lake: Lake, store: ReleaseStore) -> list[int]:
    """Return the versions of the reference table that promoted models were trained on: any may be rolled back to."""
    promoted = [release.evidence for release in store.history(spec.name) if release.action == "promote"]
    newest = lake.version(spec.name, "reference")
    if newest is None:
        return []
    if any("reference_version" not in evidence for evidence in promoted):
        return list(range(newest + 1))
    return sorted({int(evidence["reference_version"]) for evidence in promoted})
