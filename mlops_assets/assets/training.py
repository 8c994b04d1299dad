"""Stage `training`: one search over several algorithms, ending in a registered version and its bundle."""

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes
from mlops_assets.assets.code_version import code_version
from mlops_assets.assets.columns import model_columns
from mlops_assets.assets.snapshots import ReferenceData
from mlops_assets.errors import ConversionError, DataError
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.model_registry import ModelRegistry
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.performance import Performance
    from mlops_assets.core.training import SearchResult, Split

LIBRARIES = ("scikit-learn", "skl2onnx", "onnxruntime", "numpy", "pandas", "mlops-assets")
LOCK_FILE = Path(__file__).resolve().parents[2] / "requirements.lock"
N_GOLDEN_ROWS = 64


@dataclass(frozen=True)
class TrainedModel:
    """A candidate: its registered version, its bundle, and what it was trained on."""

    version: str
    bundle: str
    algorithm: str
    mlflow_run_id: str
    reference: ReferenceData
    tuned_until: datetime


@dataclass(frozen=True)
class FittedCandidate:
    """What the search and the last fit gave, before it is registered."""

    search: "SearchResult"
    split: "Split"
    model_bytes: bytes
    parity: float
    holdout: "Performance"
    holdout_scores: Any
    importances: dict[str, float]
    profile: bytes
    calibration: bytes
    tuned_until: datetime

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that the hold-out defines."""
        return {name: value for name, value in self.holdout.metrics().items() if value is not None}


def build_training_assets(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    """Return `trained_model` of one model."""

    @dg.asset(
        **asset_attributes(spec, "training", kinds={"scikitlearn", "mlflow", "onnx"}),
        ins={"reference_data": dg.AssetIn(dg.AssetKey([spec.name, "reference_data"]))},
        pool=f"train_{spec.name}",
        check_specs=[
            dg.AssetCheckSpec(
                "bundle_answers_like_the_pipeline",
                asset=dg.AssetKey([spec.name, "trained_model"]),
                blocking=True,
                description="ONNX and scikit-learn differ by at most 1e-5 in probability on the snapshot's rows.",
            )
        ],
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        reference_data: ReferenceData,
        lake: LakeResource,
        registry: ModelRegistry,
        releases: ReleaseStoreResource,
    ) -> Any:
        """The best candidate of the search, as a registered MLflow version and an ONNX bundle.

        Train, validation and hold-out follow each other in time. The search sees the first two only; the hold-out is
        for the gate.
        """
        frame = lake.tables.read(spec.name, "reference", reference_data.version)
        versions = {
            "data_version": reference_data.content,
            "delta_version": str(reference_data.version),
            "code_version": code_version(spec),
        }
        try:
            with registry.run(context, model=spec.name, tags=versions) as mlflow:
                candidate = fit_candidate(spec, frame, reference_data, context.log.info)
                stored = register_candidate(context, spec, reference_data, candidate, mlflow, releases)
                registry.set_aliases(spec.name, {"staging": stored.version})
        except ConversionError as error:
            yield dg.AssetCheckResult(
                check_name="bundle_answers_like_the_pipeline", passed=False, metadata={"reason": str(error)}
            )
            raise dg.Failure(str(error), allow_retries=False) from None
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        yield dg.AssetCheckResult(
            check_name="bundle_answers_like_the_pipeline",
            passed=True,
            metadata={"largest_difference": candidate.parity, "rows": len(frame)},
        )
        metadata = training_metadata(spec, stored, candidate, registry)
        yield dg.MaterializeResult(value=stored, metadata=metadata, data_version=dg.DataVersion(stored.bundle[:16]))

    return [trained_model]


def fit_candidate(
    spec: ModelSpec, frame: "pd.DataFrame", reference: ReferenceData, report: Callable[[str], None]
) -> FittedCandidate:
    """Search, fit, convert, prove the conversion and measure on the hold-out.

    Raises:
        InsufficientDataError: A part of the split is too small.
        ConversionError: The ONNX graph does not answer like the pipeline.
    """
    from mlops_assets.core.candidates import measure_candidate, split_labelled
    from mlops_assets.core.estimation import calibrate
    from mlops_assets.core.schema import binary_labels, frame_matrices
    from mlops_assets.core.training import fit_final, parity, permutation_importances, search, to_onnx
    from serving.scoring.predictor import Predictor

    parts = split_labelled(frame, spec, end=reference.end)
    found = search(parts.train, parts.validation, spec, on_trial=lambda trial: report(str(trial)))
    pipeline = fit_final(found, parts.train, parts.validation, spec)
    model_bytes = to_onnx(pipeline, spec.contract)
    predictor = Predictor(model_bytes)
    difference = parity(pipeline, predictor, frame, spec.contract)
    scores = predictor.scores(*frame_matrices(parts.holdout, spec.contract))
    truth = binary_labels(parts.holdout[spec.label.name], spec.label.positive)
    holdout, profile = measure_candidate(parts, scores, frame, spec, end=reference.end)
    return FittedCandidate(
        search=found,
        split=parts,
        model_bytes=model_bytes,
        parity=difference,
        holdout=holdout,
        holdout_scores=scores,
        importances=permutation_importances(pipeline, parts.validation, spec),
        profile=profile.to_json(),
        calibration=calibrate(scores, truth).to_json(),
        tuned_until=parts.tuned_until,
    )


def register_candidate(
    context: dg.AssetExecutionContext,
    spec: ModelSpec,
    reference: ReferenceData,
    candidate: FittedCandidate,
    mlflow: Any,
    releases: ReleaseStoreResource,
) -> TrainedModel:
    """Log to the open MLflow run, register the version, and write the bundle that serving will load."""
    from mlops_assets.assets.training_log import log_training
    from mlops_assets.core.schema import frame_matrices
    from serving.formats.bundle import (
        CALIBRATION_FILE,
        GOLDEN_FILE,
        MODEL_FILE,
        PROFILE_FILE,
        GoldenRows,
        Manifest,
        write_bundle,
    )

    run_id = mlflow.active_run().info.run_id
    version = log_training(mlflow, spec, candidate)
    numbers, texts = frame_matrices(candidate.split.holdout.head(N_GOLDEN_ROWS), spec.contract)
    golden = GoldenRows(numbers, texts, candidate.holdout_scores[: len(numbers)])
    manifest = Manifest(
        model=spec.name,
        version=version,
        contract=spec.contract,
        created_at=datetime.now(UTC).isoformat(),
        tuned_until=candidate.tuned_until.isoformat(),
        data_version=reference.content,
        code_version=code_version(spec),
        mlflow_run_id=run_id,
        dagster_run_id=context.run.run_id,
        algorithm=candidate.search.algorithm,
        metrics=candidate.metrics,
        lock_sha256=_lock_sha256(),
        libraries={"python": platform.python_version(), **{name: library_version(name) for name in LIBRARIES}},
        files={},
    )
    contents = {
        MODEL_FILE: candidate.model_bytes,
        PROFILE_FILE: candidate.profile,
        GOLDEN_FILE: golden.to_json(),
        CALIBRATION_FILE: candidate.calibration,
    }
    digest = write_bundle(releases.store.bundles, manifest, contents)
    mlflow.set_tag("bundle", digest)
    return TrainedModel(version, digest, candidate.search.algorithm, run_id, reference, candidate.tuned_until)


def training_metadata(
    spec: ModelSpec, stored: TrainedModel, candidate: FittedCandidate, registry: ModelRegistry
) -> dict[str, Any]:
    """Return what the UI shows of a trained model: figures, links to MLflow, trials, importances."""
    from mlops_assets.reports.figures import as_markdown_image, importances

    names = sorted(candidate.importances, key=lambda name: -candidate.importances[name])
    picture = importances(names[:20], [candidate.importances[name] for name in names[:20]])
    trials = [
        dg.TableRecord(
            {
                "trial": trial.number,
                "algorithm": trial.algorithm,
                "log_loss": -1.0 if trial.mean is None else round(trial.mean, 5),
                "sd": -1.0 if trial.sd is None else round(trial.sd, 5),
                "state": trial.state,
                "seconds": round(trial.seconds, 2),
            }
        )
        for trial in candidate.search.trials
    ]
    return {
        "model_version": stored.version,
        "algorithm": stored.algorithm,
        "bundle": stored.bundle,
        "mlflow_run": dg.MetadataValue.url(registry.run_page(stored.mlflow_run_id)),
        "mlflow_version": dg.MetadataValue.url(registry.version_page(spec.name, stored.version)),
        "mlflow_run_id": stored.mlflow_run_id,
        "data_version": stored.reference.content,
        "delta_version": stored.reference.version,
        "code_version": code_version(spec),
        "search_stopped_by": candidate.search.stopped_by,
        **{f"holdout_{name}": value for name, value in candidate.metrics.items()},
        "dagster/row_count": len(candidate.split.train) + len(candidate.split.validation),
        **model_columns(spec, spec.contract),
        "trials": dg.MetadataValue.table(records=trials),
        "permutation_importances": dg.MetadataValue.md(as_markdown_image(picture, "permutation importances")),
    }


def _lock_sha256() -> str:
    """Return the digest of the lock beside the code, or nothing where the package is installed without it."""
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest() if LOCK_FILE.exists() else ""
