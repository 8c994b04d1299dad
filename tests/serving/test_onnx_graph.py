"""What an ONNX graph may not have: operators that are not ONNX's own, and data outside of its file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, load_from_string

from serving.errors import BundleError
from serving.formats.onnx_graph import check_graph
from serving.formats.release import ReleaseStore
from serving.scoring.host import ModelHost
from serving.scoring.predictor import Predictor
from tests.serving.hosts import bundle_failures
from tests.serving.toy import MODEL, append_release, onnx_of, promote, score_of, write_toy_bundle

pytestmark = pytest.mark.usefixtures("impatient")
Change = Callable[[ModelProto], object]


def outside(name: str = "bias") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret.bin")
    return tensor


def foreign() -> object:
    return helper.make_node("FusedMatMul", ["a", "b"], ["x"], domain="com.microsoft")


def graph_of(*, nodes: tuple = (), tensors: tuple = ()) -> object:
    return helper.make_graph(list(nodes), "inner", [], [], list(tensors))


def an_initializer_outside(model: ModelProto) -> None:
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(outside())


def a_sparse_initializer_outside(model: ModelProto) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(outside())


def a_constant_outside(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["x"], value=outside()))


def an_initializer_of_a_subgraph_outside(model: ModelProto) -> None:
    inner = graph_of(nodes=(helper.make_node("If", ["y"], ["x"], then_branch=graph_of(tensors=(outside(),))),))
    model.graph.node.append(helper.make_node("If", ["y"], ["x"], then_branch=inner))


def a_default_of_a_function_outside(model: ModelProto) -> None:
    model.functions.add(name="f").attribute_proto.append(helper.make_attribute("value", outside()))


def a_foreign_operator(model: ModelProto) -> None:
    model.opset_import.add(domain="com.microsoft", version=1)
    (product,) = (node for node in model.graph.node if node.op_type == "MatMul")
    product.op_type, product.domain = "FusedMatMul", "com.microsoft"  # it answers alike


def a_foreign_operator_in_a_subgraph(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("If", ["y"], ["x"], else_branch=graph_of(nodes=(foreign(),))))


def a_foreign_operator_in_a_function(model: ModelProto) -> None:
    model.functions.add(name="f").node.append(foreign())


OUTSIDE = "has data outside of its file"
FOREIGN = "has the operator 'FusedMatMul' of 'com.microsoft'"
REFUSED = {
    an_initializer_outside: OUTSIDE,
    a_sparse_initializer_outside: OUTSIDE,
    a_constant_outside: OUTSIDE,
    an_initializer_of_a_subgraph_outside: OUTSIDE,
    a_default_of_a_function_outside: OUTSIDE,
    a_foreign_operator: FOREIGN,
    a_foreign_operator_in_a_subgraph: FOREIGN,
    a_foreign_operator_in_a_function: FOREIGN,
}


def changed(change: Change) -> bytes:
    model = load_from_string(onnx_of(2))
    change(model)
    return model.SerializeToString()


@pytest.mark.parametrize(("change", "why"), REFUSED.items(), ids=[change.__name__ for change in REFUSED])
def test_a_graph_that_does_more_than_compute_on_what_it_holds_is_refused(change: Change, why: str):
    with pytest.raises(BundleError, match=why):
        Predictor(changed(change))


def test_what_the_runtime_alone_would_load_keeps_the_old_version(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    before = bundle_failures()
    append_release(store, write_toy_bundle(store.bundles, 2, model=changed(a_foreign_operator)))
    host.poll()
    onnxruntime.InferenceSession(changed(a_foreign_operator))
    assert host.model(MODEL).version == "1"
    assert bundle_failures() == before + 1


def test_operators_of_onnx_for_trees_are_its_own():
    node = helper.make_node("TreeEnsembleClassifier", ["x"], ["y"], domain="ai.onnx.ml")
    check_graph(helper.make_model(graph_of(nodes=(node,))).SerializeToString())


def test_what_is_no_onnx_file_is_refused():
    for content in (b"\xff" * 100, b"", onnx_of(1)[:-10]):
        with pytest.raises(BundleError, match="the ONNX graph"):
            Predictor(content)
    assert Predictor(onnx_of(1)).scores(np.array([[400.0, 7.0]]), np.array([["aa", "jfk"]], dtype=object)) == [
        pytest.approx(score_of(1, 400, 7, "aa"), abs=1e-6)
    ]


def test_the_runtimes_own_format_is_refused(tmp_path: Path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(onnx_of(1), options)
    with pytest.raises(BundleError, match="does not load"):
        Predictor((tmp_path / "model.ort").read_bytes())
