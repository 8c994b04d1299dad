"""Stage `release`: champion against challenger, the promotion, and the copies of its outcome elsewhere."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes
from mlops_assets.assets.columns import lake_columns, model_columns
from mlops_assets.assets.evaluation import ModelEvaluation, evaluate_candidate, score_holdout
from mlops_assets.assets.importances import importance_metadata
from mlops_assets.assets.training import TrainedModel
from mlops_assets.errors import DataError, MlopsError, SupersededError
from mlops_assets.lake.tables import Lake
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.model_registry import ModelRegistry
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from serving.errors import ReleaseConflictError, SettingsError
from serving.formats.bundle import open_bundle
from serving.formats.release import Release, ReleaseStore, Routing


@dataclass(frozen=True)
class ProductionModel:
    """What is in production after the decision."""

    version: str
    bundle: str
    generation: int
    action: str


def build_release_assets(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    """Return `model_evaluation`, `production_model` and `release_projections` of one model."""

    @dg.asset(
        **asset_attributes(spec, "release", kinds={"onnx"}),
        ins={"trained_model": dg.AssetIn(dg.AssetKey([spec.name, "trained_model"]))},
    )
    def model_evaluation(
        context: dg.AssetExecutionContext,
        trained_model: TrainedModel,
        lake: LakeResource,
        releases: ReleaseStoreResource,
    ) -> dg.MaterializeResult[ModelEvaluation]:
        """Champion and challenger scored now, on the same hold-out, with the constant predictor beside them.

        The hold-out is the newest part of the snapshot, and later than every row that either model was fitted or
        tuned on. How differently the two rank the features there is shown and decides nothing.
        """
        from mlops_assets.assets.evaluation_pictures import gate_metadata, holdout_pictures

        try:
            holdout = score_holdout(spec, lake.tables, releases.store, trained_model)
            evaluation = evaluate_candidate(spec, releases.store, trained_model, holdout)
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        return dg.MaterializeResult(
            value=evaluation,
            metadata={
                "verdict": evaluation.verdict,
                "reason": evaluation.reason,
                "challenger_version": trained_model.version,
                "champion_generation": evaluation.against_generation,
                **gate_metadata(evaluation.evidence),
                **holdout_pictures(spec, holdout),
                **importance_metadata(evaluation.importances),
                "dagster/row_count": len(holdout.rows),
                **model_columns(spec, spec.contract),
            },
        )

    @dg.asset(
        **asset_attributes(spec, "release", kinds={"json"}),
        ins={name: dg.AssetIn(dg.AssetKey([spec.name, name])) for name in ("trained_model", "model_evaluation")},
    )
    def production_model(
        context: dg.AssetExecutionContext,
        trained_model: TrainedModel,
        model_evaluation: ModelEvaluation,
        releases: ReleaseStoreResource,
    ) -> dg.MaterializeResult[ProductionModel]:
        """**The promotion.** Signs the version and appends the decision to the chain; servers follow within a second.

        A refusal is an entry too, with its numbers; it changes no routing. Deciding twice about one candidate is
        harmless.
        """
        from mlops_assets.assets.evaluation_pictures import gate_metadata

        try:
            release = decide(
                spec, releases.store, trained_model, model_evaluation, tags=context.run.tags, run_id=context.run.run_id
            )
        except (MlopsError, ReleaseConflictError, SettingsError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        production = release.routing.production
        metadata: dict[str, Any] = {
            "action": release.action,
            "reason": release.reason,
            "generation": release.generation,
            "trigger": release.trigger,
            "candidate_version": trained_model.version,
            **gate_metadata(release.evidence),
            "dagster/row_count": release.evidence["n_rows"],
        }
        if production is None:
            raise dg.Failure(
                f"{spec.name}: the first candidate was refused: {release.reason}",
                metadata=metadata,
                allow_retries=False,
            )
        contract = open_bundle(releases.store.bundles, production.bundle).contract
        return dg.MaterializeResult(
            value=ProductionModel(production.version, production.bundle, release.generation, release.action),
            data_version=dg.DataVersion(production.bundle[:16]),
            metadata={
                **metadata,
                "production_version": production.version,
                "bundle": production.bundle,
                **model_columns(spec, contract),
            },
        )

    @dg.asset(
        **asset_attributes(spec, "release", kinds={"mlflow", "deltalake"}),
        deps=[dg.AssetKey([spec.name, "production_model"])],
    )
    def release_projections(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        registry: ModelRegistry,
        releases: ReleaseStoreResource,
    ) -> dg.MaterializeResult[None]:
        """Copies of the release chain for readers: MLflow's aliases and the lake's table `releases`.

        The chain is the truth; a sensor runs this again wherever a copy is behind.
        """
        n_rows = project_releases(spec, lake.tables, registry, releases.store)
        return dg.MaterializeResult(
            metadata={
                "generation": releases.store.latest_generation(spec.name),
                "new_rows": n_rows,
                "mlflow_model": dg.MetadataValue.url(registry.model_page(spec.name)),
                "dagster/row_count": projected_generation(lake.tables, spec.name),
                **lake_columns(lake.tables, spec.name, "releases"),
            }
        )

    return [model_evaluation, production_model, release_projections]


def decide(
    spec: ModelSpec,
    store: ReleaseStore,
    trained: TrainedModel,
    evaluation: ModelEvaluation,
    *,
    tags: dict[str, str] | Any,
    run_id: str,
) -> Release:
    """Append the decision to the chain, unless it stands there already.

    Raises:
        SupersededError: The evaluation is about another candidate or another champion.
        ReleaseConflictError: Somebody else appended at the same moment.
        SettingsError: The signing key is not there.
    """
    latest = store.latest(spec.name)
    if latest and latest.candidate == evaluation.candidate:
        return latest
    if evaluation.candidate.bundle != trained.bundle:
        raise SupersededError(f"{spec.name}: model_evaluation is about another candidate; materialize it first")
    if evaluation.against_generation != (latest.generation if latest else 0):
        raise SupersededError(f"{spec.name}: production changed since the evaluation; materialize it again")
    promoted = evaluation.verdict == "promote"
    before = latest.routing if latest else Routing()
    routing = Routing(production=evaluation.candidate, fallback=before.production) if promoted else before
    return store.append(
        Release(
            model=spec.name,
            generation=evaluation.against_generation + 1,
            action="promote" if promoted else "refuse",
            reason=evaluation.reason,
            actor=tags.get("mlops/actor", "dagster"),
            at=datetime.now(UTC),
            routing=routing,
            candidate=evaluation.candidate,
            data_until=trained.reference.end,
            trigger=tags.get("mlops/trigger", "manual"),
            dagster_run_id=run_id,
            evidence=evaluation.evidence,
        )
    )


def project_releases(spec: ModelSpec, lake: Lake, registry: ModelRegistry, store: ReleaseStore) -> int:
    """Bring the aliases and the lake's table up to the chain; returns how many rows were missing in the lake."""
    import json

    import pyarrow as pa

    chain = store.history(spec.name)
    if not chain:
        return 0
    routing = chain[-1].routing
    registry.set_aliases(
        spec.name,
        {
            "production": routing.production.version if routing.production else None,
            "previous": routing.fallback.version if routing.fallback else None,
        },
    )
    projected = projected_generation(lake, spec.name)
    rows = [
        {
            "generation": release.generation,
            "at": release.at,
            "action": release.action,
            "reason": release.reason,
            "actor": release.actor,
            "trigger": release.trigger,
            "production_version": release.routing.production.version if release.routing.production else "",
            "candidate_version": release.candidate.version if release.candidate else "",
            "evidence": json.dumps(release.evidence),
        }
        for release in chain[projected:]
    ]
    if rows:
        lake.append(spec.name, "releases", pa.Table.from_pylist(rows))
    return len(rows)


def projected_generation(lake: Lake, model: str) -> int:
    """Return how far the lake's table `releases` has followed the chain; it is written last of all copies."""
    dataset = lake.dataset(model, "releases")
    return 0 if dataset is None else max(dataset.to_table(columns=["generation"])["generation"].to_pylist())
