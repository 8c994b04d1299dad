"""The two servers that ours is measured with, on the same gRPC server as a worker's.

`echo` answers given bytes without looking at the request: what the transport costs. `bare` decodes and scores and does
nothing else. Both print their port and run until their standard input ends.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np

from protos.mlops.v1 import prediction_pb2 as pb
from serving.api.server import server_options
from serving.formats.bundle import open_bundle
from serving.formats.contract import Contract
from serving.scoring.predictor import Predictor
from serving.settings import ServingSettings

PREDICT = "/mlops.v1.PredictionService/Predict"
_ID = "00000000-0000-7000-8000-000000000000"


def main() -> None:
    """Serve one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["echo", "bare"])
    parser.add_argument("source", type=Path, help="echo: a file with the answer; bare: the folder of a bundle")
    options = parser.parse_args()
    handler = _echo(options.source.read_bytes()) if options.kind == "echo" else _bare(options.source)
    settings = ServingSettings()
    server = grpc.server(ThreadPoolExecutor(settings.threads), options=server_options(settings))
    service, method = PREDICT.removeprefix("/").split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0).wait()


def _echo(answer: bytes) -> "grpc.RpcMethodHandler[bytes, bytes]":
    return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)


def _bare(folder: Path) -> "grpc.RpcMethodHandler[pb.PredictRequest, pb.PredictResponse]":
    bundle = open_bundle(folder.parent, folder.name)
    predictor, contract = Predictor(bundle.model_bytes), bundle.contract
    predict = _bare_handler(predictor, contract, bundle.manifest.version)
    return grpc.unary_unary_rpc_method_handler(
        predict, pb.PredictRequest.FromString, pb.PredictResponse.SerializeToString
    )


def _bare_handler(
    predictor: Predictor, contract: Contract, version: str
) -> Callable[[pb.PredictRequest, grpc.ServicerContext], pb.PredictResponse]:
    def predict(request: pb.PredictRequest, context: grpc.ServicerContext) -> pb.PredictResponse:
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
