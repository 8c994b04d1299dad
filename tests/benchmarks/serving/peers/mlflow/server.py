"""`mlflow models serve`, after saving the model as the flavor's documents do; probabilities instead of labels."""

import os
import shutil
import sys

import benchmark_model
import mlflow

FOLDER = benchmark_model.FOLDER / f"mlflow-{'onnx' if benchmark_model.IS_ONNX else 'sklearn'}"
shutil.rmtree(FOLDER, ignore_errors=True)
if benchmark_model.IS_ONNX:
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    width = len(benchmark_model.NUMBERS) + len(benchmark_model.TEXTS)
    inputs = Schema([TensorSpec(np.dtype(np.float32), (-1, width), "features")])
    mlflow.onnx.save_model(
        onnx.load(benchmark_model.ONNX_FILE),
        FOLDER,
        signature=ModelSignature(inputs=inputs),
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
    )
else:
    mlflow.sklearn.save_model(
        benchmark_model.Pipeline().pipeline,
        FOLDER,
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
    )
options = ["-m", str(FOLDER), "--host", "127.0.0.1", "--port", str(benchmark_model.PORT), "--env-manager", "local"]
os.execv(sys.executable, [sys.executable, "-m", "mlflow", "models", "serve", *options])
