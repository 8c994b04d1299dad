"""Calls a server of the toy model with an unmodified tritonclient and prints what it said as JSON.

Runs in an environment of its own: the client's stubs register the same protobuf symbols as the server's.
"""

import asyncio
import json
import queue
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from tritonclient import grpc
from tritonclient.grpc import aio
from tritonclient.utils import InferenceServerException

MODEL = "toy"
ROWS = {
    "distance": np.array([400.0, 100.0, 900.0]),
    "hour": np.array([7.0, np.nan, 23.0]),
    "carrier": np.array([b"aa", b"bb", b"aa"], dtype=object),
    "origin": np.array([b"jfk", b"", "zürich".encode()], dtype=object),
}


def inputs(**changed: tuple[str, np.ndarray] | None) -> list[grpc.InferInput]:
    given = {name: ("FP64" if values.dtype == float else "BYTES", values) for name, values in ROWS.items()} | changed
    tensors = []
    for name, pair in given.items():
        if pair is not None:
            datatype, values = pair
            tensors.append(grpc.InferInput(name, values.shape, datatype).set_data_from_numpy(values))
    return tensors


def outputs_of(result: grpc.InferResult) -> dict[str, Any]:
    arrays = {name: result.as_numpy(name) for name in ("label", "probabilities", "prediction_id")}
    return {name: None if array is None else array.astype(_plain(array)).tolist() for name, array in arrays.items()}


def _plain(array: np.ndarray) -> type:
    return float if array.dtype == np.float64 else str


def refusal(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError("the call was answered")


def future(client: grpc.InferenceServerClient) -> dict[str, Any]:
    answers: queue.Queue[tuple[grpc.InferResult, Exception | None]] = queue.Queue()
    client.async_infer(MODEL, inputs(), callback=lambda result, error: answers.put((result, error)), client_timeout=10)
    result, error = answers.get(timeout=10)
    assert error is None, error
    return outputs_of(result)


async def awaited(address: str) -> dict[str, Any]:
    async with aio.InferenceServerClient(address) as client:
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL, "1")
        result, metadata = await asyncio.gather(
            client.infer(MODEL, inputs(), request_id="awaited"), client.get_model_metadata(MODEL, as_json=True)
        )
        return {"id": result.get_response().id, "name": metadata["name"], **outputs_of(result)}


def counted(client: grpc.InferenceServerClient) -> dict[str, Any]:
    """Return the statistics once they hold the rows that were sent here: a worker adds its calls ten times a second."""
    deadline = time.monotonic() + 10
    while True:
        statistics = client.get_inference_statistics(MODEL, as_json=True)
        if int(statistics["model_stats"][0].get("inference_count", 0)) >= 30 or time.monotonic() > deadline:
            return statistics
        time.sleep(0.05)


def calls(client: grpc.InferenceServerClient, address: str) -> dict[str, Any]:
    requested = [grpc.InferRequestedOutput("probabilities")]
    infer = client.infer
    hours = np.array([7, 0, 23])
    column = {name: (kind, values.reshape(-1, 1)) for name, kind, values in _kinds()}
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "models_ready": [client.is_model_ready(*model) for model in ((MODEL,), (MODEL, "1"), (MODEL, "2"), ("no",))],
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata(MODEL, as_json=True),
        "config": client.get_model_config(MODEL, as_json=True),
        "infer": outputs_of(infer(MODEL, inputs())),
        "shape_n_1": outputs_of(infer(MODEL, inputs(**column))),
        "identified": infer(MODEL, inputs(), model_version="1", request_id="echo").get_response(as_json=True),
        "requested": outputs_of(infer(MODEL, inputs(), outputs=requested)),
        "int64": outputs_of(infer(MODEL, inputs(hour=("INT64", hours)))),
        "fp32": outputs_of(infer(MODEL, inputs(distance=("FP32", ROWS["distance"].astype(np.float32))))),
        "retried": [outputs_of(infer(MODEL, inputs(), parameters={"request_id": "triton-1"})) for _ in range(2)],
        "keyed": outputs_of(infer(MODEL, inputs(entity_key=("BYTES", np.array([b"a", b"b", b"c"], dtype=object))))),
        "async": future(client),
        "awaited": asyncio.run(awaited(address)),
        "missing_input": refusal(lambda: infer(MODEL, inputs(hour=None))),
        "unknown_output": refusal(lambda: infer(MODEL, inputs(), outputs=[grpc.InferRequestedOutput("score")])),
        "wrong_type": refusal(lambda: infer(MODEL, inputs(carrier=("INT64", hours)))),
        "classes": refusal(lambda: infer(MODEL, inputs(), outputs=[grpc.InferRequestedOutput("label", class_count=2)])),
        "other_version": refusal(lambda: infer(MODEL, inputs(), model_version="2")),
        "unknown_model": refusal(lambda: infer("no", inputs())),
        "unknown_metadata": refusal(lambda: client.get_model_metadata("no")),
        "unknown_statistics": refusal(lambda: client.get_inference_statistics("no")),
        "repository": refusal(client.get_model_repository_index),
        "statistics": counted(client),
    }


def _kinds() -> list[tuple[str, str, np.ndarray]]:
    return [(name, "FP64" if values.dtype == float else "BYTES", values) for name, values in ROWS.items()]


if __name__ == "__main__":
    with grpc.InferenceServerClient(sys.argv[1]) as opened:
        print(json.dumps(calls(opened, sys.argv[1])))
