import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.conversion import UNSEEN, boundary_rows, parity, to_onnx
from mlops_assets.core.pipelines import DEFAULTS, empty_columns, make_pipeline, one_thread, pipeline_input, scores_of
from mlops_assets.core.schema import frame_matrices
from mlops_assets.errors import ConversionError
from mlops_assets.spec import Category, Number
from serving.formats.texts import columns_of
from serving.scoring.predictor import Predictor
from tests.core.example import FEATURES, example_frame, example_spec

SPEC = example_spec()
FRAME = example_frame(1200)
FRESH = example_frame(3000, seed=8).assign(city=lambda frame: frame["city"].where(frame.index % 50 > 0, "new city"))
LABELS = (FRAME["outcome"] == "yes").to_numpy().astype(int)
SPECS = {
    "numbers and texts": SPEC,
    "numbers only": example_spec(tuple(f for f in FEATURES if isinstance(f, Number))),
    "texts only": example_spec(tuple(f for f in FEATURES if isinstance(f, Category))),
}


def fitted(algorithm, contract, frame=FRAME):
    features = pipeline_input(*frame_matrices(frame, contract))
    pipeline = make_pipeline(algorithm, DEFAULTS[algorithm], contract, ignored=empty_columns(features))
    with one_thread():
        return pipeline.fit(features, LABELS)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("algorithm", DEFAULTS)
def test_the_onnx_graph_answers_like_the_pipeline(algorithm, kind):
    contract = SPECS[kind].contract
    pipeline = fitted(algorithm, contract)
    predictor = Predictor(to_onnx(pipeline, contract))
    assert parity(pipeline, predictor, FRESH, contract) <= 1e-5


@pytest.mark.parametrize("algorithm", DEFAULTS)
def test_a_number_that_is_never_there_and_missing_texts_survive(algorithm):
    frame = FRAME.assign(amount=np.nan, color=None)
    pipeline = fitted(algorithm, SPEC.contract, frame)
    assert parity(pipeline, Predictor(to_onnx(pipeline, SPEC.contract)), FRESH, SPEC.contract) <= 1e-5


def test_converting_twice_gives_the_same_bytes():
    pipeline = fitted("hist_gradient_boosting", SPEC.contract)
    assert to_onnx(pipeline, SPEC.contract) == to_onnx(pipeline, SPEC.contract)


def test_a_graph_that_answers_differently_is_refused():
    class Wrong:
        def scores(self, numbers, texts):
            scores = expected.copy()
            scores[3] += 2e-5
            return scores

    pipeline = fitted("logistic_regression", SPEC.contract)
    probes = boundary_rows(*frame_matrices(FRESH, SPEC.contract), SPEC.contract)
    everything = pipeline_input(
        *(np.concatenate(pair) for pair in zip(frame_matrices(FRESH, SPEC.contract), probes, strict=True))
    )
    expected = pipeline.predict_proba(everything)[:, 1]
    with pytest.raises(ConversionError, match=r"1 of \d+ rows by more than 1e-05"):
        parity(pipeline, Wrong(), FRESH, SPEC.contract)
    expected[5] = np.nan
    with pytest.raises(ConversionError, match="nan"):
        parity(pipeline, Wrong(), FRESH, SPEC.contract)


def test_the_known_trap_of_native_categories_is_caught():
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    contract = SPEC.contract
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer([("numbers", "passthrough", [0, 1]), ("texts", encode, [2, 3])])
    model = HistGradientBoostingClassifier(categorical_features=[2, 3], max_iter=30)
    pipeline = Pipeline([("encode", columns), ("estimator", model)])
    with one_thread():
        pipeline.fit(pipeline_input(*frame_matrices(FRAME, contract)), LABELS)
    with pytest.raises(ConversionError):
        parity(pipeline, Predictor(to_onnx(pipeline, contract)), FRESH, contract)


def test_a_pipeline_that_does_not_convert_says_so_in_one_line():
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier().fit(np.zeros((4, 4)), [0, 1, 0, 1])
    with pytest.raises(ConversionError, match="does not convert") as raised:
        to_onnx(model, SPEC.contract)
    assert len(str(raised.value)) < 400


def test_boundary_rows_are_at_the_edges_of_the_contract_and_satisfy_it():
    numbers, texts = boundary_rows(*frame_matrices(FRESH, SPEC.contract), SPEC.contract)
    SPEC.contract.check(numbers, columns_of(texts))
    assert {-1000.0, 1000.0} <= set(numbers[:, 0])
    assert numbers[:, 1].min() == 0
    assert numbers[:, 1].max() >= 10 * FRESH["visits"].max()
    assert np.isnan(numbers[:, 0]).any()
    assert UNSEEN in texts[:, 1]
    assert "" in texts[:, 0]


def test_pipelines_read_numbers_as_serving_sends_them():
    frame = pipeline_input(*frame_matrices(FRAME, SPEC.contract))
    assert list(frame.columns) == [0, 1, 2, 3]
    assert [str(kind) for kind in frame.dtypes] == ["float32", "float32", "object", "object"]


def test_a_large_magnitude_scores_as_its_float32():
    frame = pd.concat([FRAME.head(2)] * 2, ignore_index=True)
    frame.loc[2:, "visits"] = float(np.float32(16_777_217))
    frame.loc[:1, "visits"] = 16_777_217.0
    scores = scores_of(fitted("hist_gradient_boosting", SPEC.contract), frame, SPEC.contract)
    np.testing.assert_array_equal(scores[:2], scores[2:])
