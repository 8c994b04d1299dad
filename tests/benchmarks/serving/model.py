"""The model that every server answers: 12 numbers, 4 categories, histogram gradient boosting of 200 iterations.

It goes the project's own way: spec, pipeline, conversion, parity proof, bundle, release store.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops_assets.core.conversion import encoding_of, parity, to_onnx
from mlops_assets.core.pipelines import Params, make_pipeline, one_thread, pipeline_input
from mlops_assets.core.profile import build_profile
from mlops_assets.core.schema import binary_labels, frame_matrices, matrices_frame
from mlops_assets.spec import Category, Label, ModelSpec, Number
from serving.formats.bundle import GOLDEN_FILE, MODEL_FILE, PROFILE_FILE, GoldenRows, Manifest, write_bundle
from serving.formats.contract import Numbers
from serving.formats.encoding import Features
from serving.formats.release import Deployed, Release, ReleaseStore, Routing
from serving.formats.texts import TextMatrix, columns_of
from serving.scoring.predictor import Predictor

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ALGORITHM = "hist_gradient_boosting"
PARAMS: Params = {"max_iter": 200}
"""The rest stands at scikit-learn's defaults, as the peers' documents leave it."""

N_TRAINING_ROWS = 20_000
N_REQUEST_ROWS = 1000
_START = datetime(2024, 1, 1, tzinfo=UTC)
_CATEGORIES = {"region": 4, "channel": 6, "product": 12, "store": 30}
# Binary fractions: float32, float64 and JSON name the same number, so all servers can answer alike.
_GRID = 64.0


@dataclass(frozen=True)
class BenchmarkModel:
    """One version, its bundle, and the rows that requests are made of.

    Attributes:
        folder: Its bundle.
        deployed: Version and digest, as a release names them.
        onnx: The graph.
        numbers: Shape (1000, 12), float64, none missing.
        texts: Shape (1000, 4).
        features: The same as the graph reads them, shape (1000, 16), float32.
        scores: What every server must answer to these rows, shape (1000,).
    """

    folder: Path
    deployed: Deployed
    onnx: bytes
    numbers: Numbers
    texts: TextMatrix
    features: Features
    scores: Numbers

    @cached_property
    def request_frame(self) -> pd.DataFrame:
        """The rows under the features' names."""
        return matrices_frame(self.numbers, self.texts, CONTRACT)

    def row(self, number: int) -> dict[str, float | str]:
        """Return one row under the features' names."""
        values = (*self.numbers[number].tolist(), *self.texts[number].tolist())
        return dict(zip(CONTRACT.names, values, strict=True))

    def named_pipeline(self) -> "Pipeline":
        """Return the same fit on named columns, as peers that serve scikit-learn are asked with a data frame."""
        training = make_rows(N_TRAINING_ROWS, seed=int(self.deployed.version))
        pipeline = _fitted(training, names=CONTRACT.names)
        # Only fitting needs it, and another release of numpy can not read it.
        pipeline[-1]._feature_subsample_rng = None
        return pipeline


def _spec() -> ModelSpec:
    numbers = [Number(name=f"number_{place:02}", minimum=-100, maximum=100, nullable=place >= 9) for place in range(12)]
    categories = [
        Category(name=name, categories=tuple(f"{name}-{value}" for value in range(size)), open=name == "store")
        for name, size in _CATEGORIES.items()
    ]
    return ModelSpec(
        name="benchmark",
        description="Rows of random numbers with a label that can be learned.",
        # Of one length, so that all answers have one.
        label=Label(name="outcome", negative="negative", positive="positive"),
        features=(*numbers, *categories),
        source=lambda: make_rows(N_TRAINING_ROWS, seed=0),
    )


SPEC = _spec()
CONTRACT = SPEC.contract


def make_rows(n_rows: int, *, seed: int, missing_share: float = 0.1) -> pd.DataFrame:
    """Return rows over eight weeks, with label, event time and entity key; three numbers may be missing."""
    generator = np.random.default_rng(seed)
    numbers = np.rint(generator.normal(scale=2, size=(n_rows, 12)) * _GRID) / _GRID
    numbers[:, 9:][generator.random((n_rows, 3)) < missing_share] = np.nan
    codes = {name: generator.integers(size, size=n_rows) for name, size in _CATEGORIES.items()}
    known = np.nan_to_num(numbers)
    logit = known[:, 0] - 0.5 * known[:, 1] * (known[:, 2] > 0) + np.sin(known[:, 3]) + 0.3 * known[:, 9]
    logit += np.linspace(-1, 1, 30)[codes["store"]] + np.linspace(1, -1, 6)[codes["channel"]] * (codes["region"] > 1)
    frame = pd.DataFrame(numbers, columns=[feature.name for feature in SPEC.numbers])
    for name, code in codes.items():
        frame[name] = np.char.add(f"{name}-", code.astype(str)).astype(object)
    frame["outcome"] = np.where(generator.random(n_rows) < 1 / (1 + np.exp(-logit)), "positive", "negative").astype(
        object
    )
    frame["event_time"] = pd.date_range(_START, _START + timedelta(weeks=8), periods=n_rows).floor("us")
    frame["entity_key"] = [f"entity-{number}" for number in range(n_rows)]
    return frame


def make_model(bundles: Path, *, version: int = 1) -> BenchmarkModel:
    """Fit, convert, prove and write one version; another version is fitted on other rows.

    Args:
        bundles: Folder of the bundles.
        version: From 1; also the seed of the training rows.

    Raises:
        ConversionError: The graph does not answer like the pipeline within 1e-5.
    """
    training = make_rows(N_TRAINING_ROWS, seed=version)
    # Complete, because the peers have no common form of a missing value.
    requests = make_rows(N_REQUEST_ROWS, seed=1000, missing_share=0)
    pipeline = _fitted(training, names=range(len(CONTRACT.names)))
    onnx = to_onnx(pipeline, CONTRACT)
    predictor = Predictor(onnx)
    parity(pipeline, predictor, requests, CONTRACT)
    numbers, texts = frame_matrices(requests, CONTRACT)
    scores = predictor.scores(numbers, texts)
    contents = {
        MODEL_FILE: onnx,
        PROFILE_FILE: build_profile(training, CONTRACT, scores=scores).to_json(),
        GOLDEN_FILE: GoldenRows(numbers[:64], texts[:64], scores[:64]).to_json(),
    }
    deployed = Deployed(str(version), write_bundle(bundles, _manifest(version), contents))
    return BenchmarkModel(
        bundles / deployed.bundle,
        deployed,
        onnx,
        numbers,
        texts,
        encoding_of(pipeline).features(numbers, columns_of(texts)),
        scores,
    )


def promote(store: ReleaseStore, model: BenchmarkModel) -> Release:
    """Append the release that puts a version into production; its bundle is copied first if it is not there."""
    bundle = store.bundles / model.deployed.bundle
    if not bundle.exists():
        shutil.copytree(model.folder, bundle)
    return store.append(
        Release(
            model=CONTRACT.model,
            generation=store.latest_generation(CONTRACT.model) + 1,
            action="promote",
            reason="benchmark",
            actor="benchmark",
            at=datetime.now(UTC),
            routing=Routing(production=model.deployed),
            candidate=model.deployed,
        )
    )


def _fitted(training: pd.DataFrame, *, names: Sequence[object]) -> "Pipeline":
    pipeline = make_pipeline(ALGORITHM, PARAMS, CONTRACT)
    features = pipeline_input(*frame_matrices(training, CONTRACT)).set_axis(list(names), axis="columns")
    with one_thread():
        return pipeline.fit(features, binary_labels(training["outcome"], "positive"))


def _manifest(version: int) -> Manifest:
    end = (_START + timedelta(weeks=8)).isoformat()
    return Manifest(
        model=CONTRACT.model,
        version=str(version),
        contract=CONTRACT,
        created_at=end,
        tuned_until=end,
        data_version=f"seed-{version}",
        code_version="benchmark",
        mlflow_run_id="",
        dagster_run_id="",
        algorithm=ALGORITHM,
        metrics={},
        libraries={},
        files={},
    )
