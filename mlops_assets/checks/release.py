"""Checks of stage `release`: the gate's word, and whether the running server answers with it."""

import time

import dagster as dg

from mlops_assets.assets.evaluation import ModelEvaluation
from mlops_assets.assets.release import ProductionModel
from mlops_assets.settings import settings
from mlops_assets.spec import ModelSpec

PROMISED_SECONDS = 1.0


def build_release_checks(spec: ModelSpec) -> list[dg.AssetChecksDefinition]:
    """Return `challenger_beats_champion` and `serves_the_promoted_version`."""

    @dg.asset_check(asset=dg.AssetKey([spec.name, "model_evaluation"]))
    def challenger_beats_champion(model_evaluation: ModelEvaluation) -> dg.AssetCheckResult:
        """Warns, never blocks: the refusal itself is recorded by `production_model`."""
        from mlops_assets.assets.evaluation_pictures import gate_metadata

        return dg.AssetCheckResult(
            passed=model_evaluation.verdict == "promote",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"reason": model_evaluation.reason, **gate_metadata(model_evaluation.evidence)},
        )

    @dg.asset_check(asset=dg.AssetKey([spec.name, "production_model"]))
    def serves_the_promoted_version(production_model: ProductionModel) -> dg.AssetCheckResult:
        """Asks the running server, for as long as a promotion may take to reach it (a second)."""
        served, seconds = served_generation(spec.name, production_model.generation)
        return dg.AssetCheckResult(
            passed=served >= production_model.generation,
            severity=dg.AssetCheckSeverity.WARN,
            description=None if served else f"No answer from {settings().server}; start the server with `mlops serve`.",
            metadata={
                "served_generation": served,
                "promoted_generation": production_model.generation,
                "seconds_waited": seconds,
                "server": settings().server,
            },
        )

    return [challenger_beats_champion, serves_the_promoted_version]


def served_generation(model: str, wanted: int) -> tuple[int, float]:
    """Return the generation that the server answers with (0: no answer), and the seconds until it did."""
    import grpc

    from mlops_assets.resources.prediction_server import connect
    from serving.errors import ServingError

    started, served = time.monotonic(), 0
    with connect(settings(), timeout_seconds=PROMISED_SECONDS, retry_seconds=0) as client:
        while time.monotonic() - started < PROMISED_SECONDS:
            try:
                served = client.model_info(model).generation
            except (ServingError, grpc.RpcError):
                served = 0
            if served >= wanted:
                break
            time.sleep(0.05)
    return served, time.monotonic() - started
