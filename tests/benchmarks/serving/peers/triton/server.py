"""NVIDIA Triton as PyTriton ships it, for CPUs: the server with its Python backend, and no ONNX backend.

So both forms are inference functions in Python; Triton hands them batches through shared memory.
"""

import os
import socket
import sys
import sysconfig

import benchmark_model
import numpy as np

# Triton's Python stub must load the libpython of this interpreter, not one that the system happens to have.
_LIBRARIES = sysconfig.get_config_var("LIBDIR")
if os.environ.get("LD_LIBRARY_PATH") != _LIBRARIES:
    os.execve(sys.executable, [sys.executable, __file__], {**os.environ, "LD_LIBRARY_PATH": _LIBRARIES})

import pandas as pd  # noqa: E402
from pytriton.decorators import batch  # noqa: E402
from pytriton.model_config import ModelConfig, Tensor  # noqa: E402
from pytriton.triton import Triton, TritonConfig  # noqa: E402

model = benchmark_model.load()


@batch
def infer(numbers: np.ndarray, texts: np.ndarray) -> dict[str, np.ndarray]:
    """Score rows."""
    strings = [[text.decode() for text in row] for row in texts.tolist()]
    if benchmark_model.IS_ONNX:
        return {"probabilities": model.probabilities(numbers, strings)}
    frame = pd.concat(
        [pd.DataFrame(numbers, columns=benchmark_model.NUMBERS), pd.DataFrame(strings, columns=benchmark_model.TEXTS)],
        axis="columns",
    )
    return {"probabilities": model.pipeline.predict_proba(frame).astype(np.float32)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    loopback = {f"{service}_address": "127.0.0.1" for service in ("http", "grpc", "metrics")}
    config = TritonConfig(
        grpc_port=benchmark_model.PORT, http_port=_free_port(), metrics_port=_free_port(), log_verbose=0, **loopback
    )
    numbers = Tensor(name="numbers", dtype=np.float32, shape=(len(benchmark_model.NUMBERS),))
    texts = Tensor(name="texts", dtype=np.bytes_, shape=(len(benchmark_model.TEXTS),))
    with Triton(config=config) as triton:
        triton.bind(
            model_name="benchmark",
            infer_func=infer,
            inputs=[numbers, texts],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(2,))],
            config=ModelConfig(max_batch_size=1000),
        )
        triton.serve()
