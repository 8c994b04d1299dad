"""The candidate pipelines: only such as survive the way to ONNX exactly, with their search spaces.

What does not: native `categorical_features`, NaN inside a random forest, `add_indicator`, infrequent categories and
float64 inputs. So numbers are float32 from the start, texts are encoded here, and the forest's NaN are filled.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.core.schema import frame_matrices
from mlops_assets.spec import Algorithm
from serving.formats.contract import Contract, Numbers
from serving.formats.texts import TextMatrix

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Trial
    from sklearn.pipeline import Pipeline

Params = dict[str, Any]

DEFAULTS: dict[Algorithm, Params] = {
    "logistic_regression": {"C": 0.1},
    "random_forest": {"n_estimators": 60, "max_depth": 10, "min_samples_leaf": 5, "max_features": 0.25},
    "hist_gradient_boosting": {
        "learning_rate": 0.08,
        "max_iter": 120,
        "max_leaf_nodes": 16,
        "min_samples_leaf": 40,
        "l2_regularization": 1.0,
    },
}
"""Where every search begins: one sensible candidate per algorithm."""


def suggest_params(trial: "Trial", algorithm: Algorithm) -> Params:
    """Draw the parameters of one candidate; each has its own name per algorithm in the study."""

    def name(parameter: str) -> str:
        return f"{algorithm}.{parameter}"

    match algorithm:
        case "logistic_regression":
            return {"C": trial.suggest_float(name("C"), 1e-3, 10.0, log=True)}
        case "random_forest":
            return {
                "n_estimators": trial.suggest_int(name("n_estimators"), 60, 90, step=15),
                "max_depth": trial.suggest_int(name("max_depth"), 6, 13),
                "min_samples_leaf": trial.suggest_int(name("min_samples_leaf"), 2, 40, log=True),
                "max_features": trial.suggest_float(name("max_features"), 0.15, 0.4),
            }
        case "hist_gradient_boosting":
            return {
                "learning_rate": trial.suggest_float(name("learning_rate"), 0.04, 0.2, log=True),
                "max_iter": trial.suggest_int(name("max_iter"), 50, 150, step=10),
                "max_leaf_nodes": trial.suggest_int(name("max_leaf_nodes"), 6, 24, log=True),
                "min_samples_leaf": trial.suggest_int(name("min_samples_leaf"), 10, 120, log=True),
                "l2_regularization": trial.suggest_float(name("l2_regularization"), 1e-2, 20.0, log=True),
            }


def make_pipeline(
    algorithm: Algorithm, params: Params, contract: Contract, *, seed: int = 0, ignored: Collection[int] = ()
) -> "Pipeline":
    """Return an unfitted pipeline over `pipeline_input`'s columns, on one thread.

    Args:
        algorithm: Which estimator, and with it which preparation.
        params: The estimator's.
        contract: Its numbers, then its texts, are the columns; either may be absent.
        seed: Of everything random in it.
        ignored: Positions of columns to leave out, see `empty_columns`.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    n_numbers, n_texts = len(contract.numbers), len(contract.texts)
    kept = [place for place in range(n_numbers) if place not in ignored]
    parts = [
        ("numbers", "passthrough", kept),
        ("texts", _encoder(algorithm, seed), list(range(n_numbers, n_numbers + n_texts))),
    ]
    encode = ColumnTransformer([part for part in parts if part[2]])
    preparation = _preparation(algorithm, n_numbers=len(kept), n_texts=n_texts)
    steps = [("encode", encode), ("prepare", preparation), ("estimator", _estimator(algorithm, params, seed))]
    return Pipeline([step for step in steps if step[1] is not None])


def _encoder(algorithm: Algorithm, seed: int) -> Any:
    """Return what makes one number of each text."""
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

    if algorithm == "hist_gradient_boosting":
        return TargetEncoder(target_type="binary", cv=StratifiedKFold(5, shuffle=True, random_state=seed))
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def _preparation(algorithm: Algorithm, *, n_numbers: int, n_texts: int) -> Any:
    """Return what stands between the encoded columns, numbers first, and the estimator; None for nothing."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    imputer = SimpleImputer(strategy="median")
    match algorithm:
        case "logistic_regression":
            scaled = Pipeline([("fill", imputer), ("scale", StandardScaler())])
            parts = [
                ("numbers", scaled, list(range(n_numbers))),
                ("texts", OneHotEncoder(handle_unknown="ignore"), list(range(n_numbers, n_numbers + n_texts))),
            ]
            return ColumnTransformer([part for part in parts if part[2]])
        case "random_forest":
            return imputer
        case "hist_gradient_boosting":
            return None


def _estimator(algorithm: Algorithm, params: Params, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    match algorithm:
        case "logistic_regression":
            return LogisticRegression(max_iter=300, **params)
        case "random_forest":
            return RandomForestClassifier(n_jobs=1, max_samples=0.25, random_state=seed, **params)
        case "hist_gradient_boosting":
            return HistGradientBoostingClassifier(
                categorical_features=None, early_stopping=False, random_state=seed, **params
            )


def pipeline_input(numbers: Numbers, texts: TextMatrix) -> "pd.DataFrame":
    """Return the frame that pipelines read: float32 numbers, then texts, columns named by position.

    The cast is the one that serving makes, so a split between two float32 values falls the same way on both sides.

    Args:
        numbers: Shape (n_rows, n_numbers), NaN where missing.
        texts: Shape (n_rows, n_texts), "" where missing, which is a category like any other.
    """
    import pandas as pd

    n_numbers, n_texts = numbers.shape[1], texts.shape[1]
    return pd.concat(
        [
            pd.DataFrame(numbers.astype(np.float32), columns=range(n_numbers)),
            pd.DataFrame(texts, columns=range(n_numbers, n_numbers + n_texts), dtype=object),
        ],
        axis="columns",
    )


def empty_columns(features: "pd.DataFrame") -> list[int]:
    """Return the positions of columns without any value: no estimator learns from them, and some fail on them."""
    return [int(place) for place in np.flatnonzero(features.isna().all().to_numpy())]


def scores_of(pipeline: "Pipeline", frame: "pd.DataFrame", contract: Contract) -> Numbers:
    """Return a fitted pipeline's probability of the positive label, shape (n_rows,)."""
    with one_thread():
        probabilities = pipeline.predict_proba(pipeline_input(*frame_matrices(frame, contract)))
    return np.asarray(probabilities[:, 1], dtype=np.float64)


@contextmanager
def one_thread() -> Iterator[None]:
    """Pin OpenMP and BLAS to one thread: two contended threads are slower than one."""
    import sklearn.ensemble  # noqa: F401  (loads the thread pools that are to be limited)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield
