"""What a version is, as a client sees it: contract, lineage, metrics, release, signature."""

from datetime import UTC, datetime

from protos.mlops.v1 import prediction_pb2 as pb
from serving.formats.contract import Contract
from serving.scoring.history import Placement
from serving.scoring.loading import LoadedModel


def info_of(model: LoadedModel, placement: Placement | None) -> pb.GetModelInfoResponse:
    """Describe a version; `placement` is None if the chain is not known."""
    manifest, contract = model.manifest, model.contract
    return pb.GetModelInfoResponse(
        model=model.name,
        model_version=model.version,
        generation=model.generation,
        bundle_digest=model.digest,
        algorithm=manifest.algorithm,
        data_version=manifest.data_version,
        code_version=manifest.code_version,
        mlflow_run_id=manifest.mlflow_run_id,
        dagster_run_id=manifest.dagster_run_id,
        created_at=_time_of(manifest.created_at),
        metrics=manifest.metrics,
        features=_features_of(contract),
        negative_label=contract.negative,
        positive_label=contract.positive,
        threshold=contract.threshold,
        contract_digest=contract.digest,
        trained_until=_time_of(manifest.tuned_until),
        libraries=manifest.libraries,
        lock_sha256=manifest.lock_sha256,
        signature=pb.SignatureInfo(key_id=model.key_id, verified_at=model.verified_at),
        release=None if placement is None else _release_of(placement),
    )


def _release_of(placement: Placement) -> pb.ReleaseInfo:
    return pb.ReleaseInfo(
        generation=placement.generation,
        at=placement.at,
        reason=placement.reason,
        actor=placement.actor,
        trigger=placement.trigger,
        previous_version=placement.previous_version,
        previous_generation=placement.previous_generation,
    )


def _time_of(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _features_of(contract: Contract) -> list[pb.FeatureInfo]:
    numbers = [
        pb.FeatureInfo(
            name=feature.name,
            kind="number",
            nullable=feature.nullable,
            minimum=feature.minimum,
            maximum=feature.maximum,
            integer=feature.integer,
        )
        for feature in contract.numbers
    ]
    texts = [
        pb.FeatureInfo(
            name=feature.name,
            kind="text",
            nullable=feature.nullable,
            categories=feature.categories,
            open=feature.open,
        )
        for feature in contract.texts
    ]
    return [*numbers, *texts]
