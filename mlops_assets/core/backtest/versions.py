"""A trained version inside a backtest.

It is scored with its scikit-learn pipeline. The live loop scores with the ONNX graph made of the same pipeline, which
is refused unless both agree within 1e-5 on the snapshot's rows, so converting it would cost time and decide nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.core.backtest.history import History
from mlops_assets.core.candidates import measure_candidate
from mlops_assets.core.performance import Performance, Scores
from mlops_assets.core.pipelines import scores_of
from mlops_assets.core.profile import Profile
from mlops_assets.core.promotion import PromotionDecision, decide_promotion
from mlops_assets.core.schema import binary_labels
from mlops_assets.core.snapshots import check_label_health, untouched_holdout
from mlops_assets.core.splits import Split
from mlops_assets.core.training import Recipe
from mlops_assets.errors import InsufficientDataError
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

Trained = tuple[Recipe, Split, "Pipeline"]
Train = Callable[["pd.DataFrame", datetime, Recipe | None], Trained]
"""Fits on a snapshot with its end: by the recipe if there is one, else by the best of a search."""


@dataclass(frozen=True)
class Version:
    """One version: its number in the order of training, how it was made, and what it is judged by."""

    number: int
    recipe: Recipe
    pipeline: "Pipeline"
    tuned_until: datetime
    holdout: Performance
    profile: Profile
    spec: ModelSpec

    def scores(self, frame: "pd.DataFrame") -> Scores:
        """Return the probability of the positive label, shape (n_rows,)."""
        return _scores(self.pipeline, frame, self.spec)


def train_version(
    spec: ModelSpec, snapshot: "pd.DataFrame", *, end: datetime, train: Train, recipe: Recipe | None, number: int
) -> Version:
    """Train a version on a snapshot as the assets do.

    Raises:
        LabelHealthError: The snapshot can not be trained on.
        InsufficientDataError: A part of its split is too small.
    """
    check_label_health(snapshot[spec.label.name], spec.training)
    made_by, parts, pipeline = train(snapshot, end, recipe)
    scores = _scores(pipeline, parts.holdout, spec)
    holdout, profile = measure_candidate(parts, scores, snapshot, spec, end=end)
    return Version(number, made_by, pipeline, parts.tuned_until, holdout, profile, spec)


def train_first_version(history: History, *, train: Train, recipe: Recipe | None = None) -> Version:
    """Train what is in production before the first window, on the source alone.

    Args:
        history: Its source is the snapshot.
        train: Fits, and searches where there is no recipe.
        recipe: Of an earlier search on the same rows.

    Raises:
        LabelHealthError: The source can not be trained on.
        InsufficientDataError: It is too small, or the gate refuses what was trained on it.
    """
    spec, end = history.spec, history.source_end
    snapshot = history.snapshot(end, end)
    first = train_version(spec, snapshot, end=end, train=train, recipe=recipe, number=1)
    decision = judge(spec, snapshot, end=end, challenger=first, champion=None)
    if decision.verdict == "refuse":
        raise InsufficientDataError(f"{spec.name}: the first version is refused: {decision.reason}")
    return first


def judge(
    spec: ModelSpec, snapshot: "pd.DataFrame", *, end: datetime, challenger: Version, champion: Version | None
) -> PromotionDecision:
    """Let the gate decide on the hold-out that neither has seen."""
    both = [challenger] if champion is None else [challenger, champion]
    holdout, prior = untouched_holdout(spec, snapshot, end=end, tuned_until=[version.tuned_until for version in both])
    return decide_promotion(
        challenger=challenger.scores(holdout),
        champion=None if champion is None else champion.scores(holdout),
        labels=binary_labels(holdout[spec.label.name], spec.label.positive),
        policy=spec.gate,
        prior=prior,
        threshold=spec.label.threshold,
        accuracy_floor=spec.accuracy.floor,
    )


def _scores(pipeline: "Pipeline", frame: "pd.DataFrame", spec: ModelSpec) -> Scores:
    # Unlike the graph, a pipeline refuses to score no rows.
    return np.empty(0) if frame.empty else scores_of(pipeline, frame, spec.contract)
