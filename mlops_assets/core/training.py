"""From rows to a fitted pipeline: a split in time, one search over several algorithms, the last fit.

`search` and `fit_final` take the training and the validation rows and nothing else, so that no hold-out row can reach
a fit, a search or a calibration.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from mlops_assets.core.conversion import parity, to_onnx
from mlops_assets.core.importances import Classifier
from mlops_assets.core.performance import Performance, evaluate, row_log_losses
from mlops_assets.core.pipelines import DEFAULTS, Params, empty_columns, make_pipeline, one_thread, suggest_params
from mlops_assets.core.splits import (
    Fold,
    LabeledRows,
    Split,
    expanding_folds,
    labeled_rows,
    require_both_classes,
    split,
)
from mlops_assets.spec import Algorithm, ModelSpec

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Trial
    from optuna.study import Study
    from optuna.trial import FrozenTrial
    from sklearn.pipeline import Pipeline

__all__ = [
    "Recipe",
    "SearchResult",
    "Split",
    "TrialRecord",
    "fit_final",
    "make_pipeline",
    "parity",
    "permutation_importances",
    "search",
    "split",
    "to_onnx",
]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One candidate of the search.

    Attributes:
        number: From 0.
        algorithm: See `mlops_assets.spec.Algorithm`.
        params: The estimator's.
        values: Log loss per fold, oldest fold first; fewer than the folds if the trial was pruned.
        mean: Of the values; None if the trial was stopped before its first fold ended.
        sd: Their standard deviation; None below two values.
        state: "complete", or "pruned" for hopeless after a fold.
        seconds: Duration.
    """

    number: int
    algorithm: Algorithm
    params: Params
    values: tuple[float, ...]
    mean: float | None
    sd: float | None
    state: Literal["complete", "pruned"]
    seconds: float

    def __str__(self) -> str:
        loss = "no value" if self.mean is None else f"log loss {self.mean:.5f}"
        return f"trial {self.number}: {self.algorithm}, {loss}, {self.state} after {self.seconds:.1f} s"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a pipeline is made by: enough to fit it again on other rows."""

    algorithm: Algorithm
    params: Params


@dataclass(frozen=True, kw_only=True)
class SearchResult(Recipe):
    """The best candidate, every trial, and whether the number of trials or the seconds ended the search.

    Attributes:
        validation: The best candidate, fitted on the training rows, measured on the validation rows.
    """

    trials: tuple[TrialRecord, ...]
    stopped_by: Literal["trials", "seconds"]
    validation: Performance


def search(
    train: "pd.DataFrame",
    validation: "pd.DataFrame",
    spec: ModelSpec,
    *,
    on_trial: Callable[[TrialRecord], None] | None = None,
) -> SearchResult:
    """Search algorithm and parameters in one seeded study of Optuna's TPE.

    Each candidate is judged by its mean log loss over expanding folds in time, the last of which validates on
    `validation`; after each fold a candidate worse than the median of the others is given up.

    Args:
        train: Rows up to the validation part; those without a label are left out.
        validation: The rows after them.
        spec: Its training policy bounds the search.
        on_trial: Called after every trial.

    Raises:
        InsufficientDataError: A part has too few labeled rows of a class.
    """
    import optuna

    policy = spec.training
    folds = list(expanding_folds(train, validation, spec))
    records: list[TrialRecord] = []

    def record(_: "Study", trial: "FrozenTrial") -> None:
        records.append(_record(trial))
        if on_trial:
            on_trial(records[-1])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=policy.seed, n_startup_trials=2 * len(policy.algorithms)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=len(policy.algorithms)),
    )
    for algorithm in policy.algorithms:
        start = {f"{algorithm}.{name}": value for name, value in DEFAULTS[algorithm].items()}
        study.enqueue_trial({"algorithm": algorithm, **start})
    with one_thread():
        study.optimize(
            lambda trial: _objective(trial, folds, spec),
            n_trials=policy.trials,
            timeout=policy.seconds,
            callbacks=[record],
        )
        best = records[study.best_trial.number]
        return SearchResult(
            algorithm=best.algorithm,
            params=best.params,
            trials=tuple(records),
            stopped_by="trials" if len(records) >= policy.trials else "seconds",
            validation=_validate(best, folds[-1], spec),
        )


def fit_final(found: Recipe, train: "pd.DataFrame", validation: "pd.DataFrame", spec: ModelSpec) -> "Pipeline":
    """Fit the best candidate on training and validation rows together.

    Raises:
        InsufficientDataError: They have too few labeled rows of a class.
    """
    import pandas as pd

    rows = labeled_rows(pd.concat([train, validation], ignore_index=True), spec)
    require_both_classes(rows, "training")
    with one_thread():
        return _fitted(found.algorithm, found.params, rows, spec)


def permutation_importances(
    pipeline: Classifier, frame: "pd.DataFrame", spec: ModelSpec, *, repeats: int = 3, maximum_rows: int = 2000
) -> dict[str, float]:
    """Return by how much the log loss rises when one feature's values are shuffled.

    Args:
        pipeline: A fitted pipeline, or what answers like one.
        frame: Rows it is judged on; the newest `maximum_rows` labeled ones are used.
        spec: Names the features and the seed.
        repeats: Shuffles per feature, averaged.
        maximum_rows: Bounds the work.

    Source:
        Breiman (2001), Random forests, section 10.
    """
    newest = frame[frame[spec.label.name].notna()].sort_values("event_time", kind="stable").tail(maximum_rows)
    rows = labeled_rows(newest, spec)
    generator = np.random.default_rng(spec.training.seed)

    def loss(features: "pd.DataFrame") -> float:
        return float(row_log_losses(pipeline.predict_proba(features)[:, 1], rows.labels).mean())

    with one_thread():
        before = loss(rows.features)
        importances = {}
        for column, name in enumerate(spec.feature_names):
            shuffled = rows.features.copy()
            rises = []
            for _ in range(repeats):
                shuffled[column] = generator.permutation(rows.features[column].to_numpy())
                rises.append(loss(shuffled) - before)
            importances[name] = float(np.mean(rises))
    return importances


def _objective(trial: "Trial", folds: Sequence[Fold], spec: ModelSpec) -> float:
    import optuna

    algorithm = cast(Algorithm, trial.suggest_categorical("algorithm", spec.training.algorithms))
    params = suggest_params(trial, algorithm)
    trial.set_user_attr("params", params)
    values: list[float] = []
    for step, fold in enumerate(folds):
        pipeline = _fitted(algorithm, params, fold.train, spec)
        scores = pipeline.predict_proba(fold.validation.features)[:, 1]
        values.append(float(row_log_losses(scores, fold.validation.labels).mean()))
        trial.set_user_attr("values", values)
        trial.report(float(np.mean(values)), step)
        if step + 1 < len(folds) and trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(values))


def _record(trial: "FrozenTrial") -> TrialRecord:
    values: list[float] = trial.user_attrs.get("values", [])
    return TrialRecord(
        number=trial.number,
        algorithm=trial.params["algorithm"],
        params=trial.user_attrs.get("params", {}),
        values=tuple(values),
        mean=float(np.mean(values)) if values else None,
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        state="complete" if trial.state.name == "COMPLETE" else "pruned",
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
    )


def _validate(best: TrialRecord, fold: Fold, spec: ModelSpec) -> Performance:
    scores = _fitted(best.algorithm, best.params, fold.train, spec).predict_proba(fold.validation.features)[:, 1]
    prior = float(fold.train.labels.mean())
    return evaluate(scores, fold.validation.labels, threshold=spec.label.threshold, prior=prior)


def _fitted(algorithm: Algorithm, params: Params, rows: LabeledRows, spec: ModelSpec) -> "Pipeline":
    from sklearn.exceptions import ConvergenceWarning

    ignored = empty_columns(rows.features)
    pipeline = make_pipeline(algorithm, params, spec.contract, seed=spec.training.seed, ignored=ignored)
    with warnings.catch_warnings():
        # A candidate that has not converged is judged by its log loss like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(rows.features, rows.labels)
    return pipeline
