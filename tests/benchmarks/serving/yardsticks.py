"""The servers that ours is measured with.

`echo` answers given bytes without looking at the request, on grpcio's own server: what gRPC in Python is expected to
cost. `transport` does the same on a worker's transport: what calls cost here before anything is done. `bare` is on it
too, decodes and scores and does nothing else. All print their port and run until their standard input ends.
"""

import argparse
import atexit
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import numpy as np

from protos.mlops.v1 import prediction_pb2 as pb
from serving.api.call import Call
from serving.api.call_pools import CallPool
from serving.api.server import server_options
from serving.api.transport import Transport
from serving.formats.bundle import open_bundle
from serving.formats.contract import Contract
from serving.scoring.predictor import Predictor
from serving.settings import ServingSettings

PREDICT = "/mlops.v1.PredictionService/Predict"
_ID = "00000000-0000-7000-8000-000000000000"


Answer = Callable[[bytes], bytes]


def main() -> None:
    """Serve one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["echo", "transport", "bare"])
    parser.add_argument("source", type=Path, help="the file with the answer; bare: the folder of a bundle")
    options = parser.parse_args()
    answer = _bare(options.source) if options.kind == "bare" else _constant(options.source.read_bytes())
    serve = _on_grpcio if options.kind == "echo" else _on_our_transport
    print(serve(answer, ServingSettings()), flush=True)
    sys.stdin.read()


def _on_grpcio(answer: Answer, settings: ServingSettings) -> int:
    server = grpc.server(ThreadPoolExecutor(settings.threads), options=server_options(settings))
    service, method = PREDICT.removeprefix("/").split("/")
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer(request))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    atexit.register(server.stop, 0)
    return port


def _on_our_transport(answer: Answer, settings: ServingSettings) -> int:
    pool = CallPool("yardstick", threads=settings.threads, queue=settings.queue)

    def handle(call: Call, content: bytes | None) -> None:
        call.answer(answer(content or b""))
        pool.leave(call)

    def arrived(call: Call) -> None:
        pool.enter(call)
        call.open(pool.leave)
        call.on_message(lambda call, content: pool.run(partial(handle, call, content)))

    transport = Transport(arrived, server_options(settings))
    port = transport.open("127.0.0.1:0", None)
    transport.start()
    return port


def _constant(answer: bytes) -> Answer:
    return lambda request: answer


def _bare(folder: Path) -> Answer:
    bundle = open_bundle(folder.parent, folder.name)
    predictor, contract = Predictor(bundle.model_bytes), bundle.contract
    predict = _bare_handler(predictor, contract, bundle.manifest.version)
    return lambda request: predict(pb.PredictRequest.FromString(request)).SerializeToString()


def _bare_handler(
    predictor: Predictor, contract: Contract, version: str
) -> Callable[[pb.PredictRequest], pb.PredictResponse]:
    def predict(request: pb.PredictRequest) -> pb.PredictResponse:
        numbers = np.array([[request.numbers[feature.name] for feature in contract.numbers]])
        texts = np.array([[request.texts[feature.name] for feature in contract.texts]], dtype=object)
        score = float(predictor.scores(numbers, texts)[0])
        positive = score >= contract.threshold
        return pb.PredictResponse(
            prediction_id=_ID,
            label=contract.positive if positive else contract.negative,
            probability=score,
            confidence=score if positive else 1 - score,
            model_version=version,
            generation=1,
        )

    return predict


if __name__ == "__main__":
    main()
