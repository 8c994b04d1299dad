"""Champion and challenger on one hold-out: who is scored on what, and the gate's decision."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.importances import compare_importances
from mlops_assets.assets.training import TrainedModel
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec
from serving.formats.bundle import open_bundle
from serving.formats.release import Deployed, ReleaseStore

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.importances import ImportanceDrift
    from mlops_assets.core.performance import Labels
    from serving.formats.contract import Numbers


@dataclass(frozen=True)
class ModelEvaluation:
    """The gate's decision about one candidate against one generation of the release chain."""

    candidate: Deployed
    against_generation: int
    verdict: str
    reason: str
    evidence: dict[str, Any]
    importances: "ImportanceDrift | None" = None


@dataclass(frozen=True)
class ScoredHoldout:
    """Rows that neither model has seen, their labels, and both models' probabilities.

    Attributes:
        rows: Labeled rows in time order.
        labels: 1 where the positive label is true, shape (n_rows,).
        prior: Share of positives before them.
        challenger: Shape (n_rows,).
        champion: Shape (n_rows,); None before the first promotion.
        production: What the champion is.
        generation: The release chain's when the champion was looked up; 0 before its first entry.
    """

    rows: "pd.DataFrame"
    labels: "Labels"
    prior: float
    challenger: "Numbers"
    champion: "Numbers | None"
    production: Deployed | None
    generation: int


def score_holdout(spec: ModelSpec, lake: Lake, store: ReleaseStore, trained: TrainedModel) -> ScoredHoldout:
    """Score the candidate, and what is in production now, on the newest rows that neither was tuned on."""
    from mlops_assets.core.schema import binary_labels
    from mlops_assets.core.snapshots import untouched_holdout

    latest = store.latest(spec.name)
    champion = latest.routing.production if latest else None
    snapshot = lake.read(spec.name, "reference", trained.reference.version)
    tuned_until = [trained.tuned_until]
    if champion is not None:
        tuned_until.append(datetime.fromisoformat(open_bundle(store.bundles, champion.bundle).manifest.tuned_until))
    rows, prior = untouched_holdout(spec, snapshot, end=trained.reference.end, tuned_until=tuned_until)
    return ScoredHoldout(
        rows=rows,
        labels=binary_labels(rows[spec.label.name], spec.label.positive),
        prior=prior,
        challenger=_scores(store, trained.bundle, rows),
        champion=None if champion is None else _scores(store, champion.bundle, rows),
        production=champion,
        generation=latest.generation if latest else 0,
    )


def evaluate_candidate(
    spec: ModelSpec, store: ReleaseStore, trained: TrainedModel, holdout: ScoredHoldout
) -> ModelEvaluation:
    """Decide from the scores of both models, and compare what they lean on."""
    from mlops_assets.core.promotion import decide_promotion

    rows, champion = holdout.rows, holdout.production
    decision = decide_promotion(
        challenger=holdout.challenger,
        champion=holdout.champion,
        labels=holdout.labels,
        policy=spec.gate,
        prior=holdout.prior,
        threshold=spec.label.threshold,
        accuracy_floor=spec.accuracy.floor,
    )
    evidence = {
        **decision.evidence,
        "champion_version": champion.version if champion else None,
        "challenger_version": trained.version,
        "holdout_start": None if rows.empty else rows["event_time"].min().isoformat(),
        "holdout_end": trained.reference.end.isoformat(),
        "data_version": trained.reference.content,
        "source_version": trained.reference.source_version,
        "reference_version": trained.reference.version,
    }
    return ModelEvaluation(
        candidate=Deployed(trained.version, trained.bundle),
        against_generation=holdout.generation,
        verdict=decision.verdict,
        reason=decision.reason,
        evidence=evidence,
        importances=None if champion is None else compare_importances(spec, store, trained.bundle, champion, rows),
    )


def _scores(store: ReleaseStore, digest: str, frame: "pd.DataFrame") -> "Numbers":
    from mlops_assets.core.schema import frame_matrices
    from serving.scoring.predictor import Predictor

    bundle = open_bundle(store.bundles, digest)
    return Predictor.of_bundle(bundle).scores(*frame_matrices(frame, bundle.contract))
