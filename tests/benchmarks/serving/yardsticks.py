"""The servers that ours is measured with.

`echo` answers given bytes without looking at the request, on grpcio's own server: what gRPC in Python is expected to
cost. `transport` does the same on a worker's transport: what calls cost here before anything is done. `bare` is on it
too, decodes and scores what waits together, as a worker does, and does nothing else. All print their port and run until
their standard input ends.
"""

import argparse
import atexit
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np

from protos.mlops.v1 import prediction_pb2 as pb
from serving.api.call import Call
from serving.api.call_pools import CallPool
from serving.api.line import Line
from serving.api.server import server_options
from serving.api.transport import Transport
from serving.formats.bundle import open_bundle
from serving.formats.contract import Contract
from serving.scoring.predictor import Predictor
from serving.settings import ServingSettings

PREDICT = "/mlops.v1.PredictionService/Predict"
_ID = "00000000-0000-7000-8000-000000000000"


AnswerAll = Callable[[Sequence[bytes]], Sequence[bytes]]
_TOGETHER = 32


def main() -> None:
    """Serve one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["echo", "transport", "bare"])
    parser.add_argument("source", type=Path, help="the file with the answer; bare: the folder of a bundle")
    options = parser.parse_args()
    answer_all = _bare(options.source) if options.kind == "bare" else _constant(options.source.read_bytes())
    serve = _on_grpcio if options.kind == "echo" else _on_our_transport
    print(serve(answer_all, ServingSettings()), flush=True)
    sys.stdin.read()


def _on_grpcio(answer_all: AnswerAll, settings: ServingSettings) -> int:
    server = grpc.server(ThreadPoolExecutor(settings.threads), options=server_options(settings))
    service, method = PREDICT.removeprefix("/").split("/")
    (answer,) = answer_all([b""])
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    atexit.register(server.stop, 0)
    return port


def _on_our_transport(answer_all: AnswerAll, settings: ServingSettings) -> int:
    pool = CallPool("yardstick", threads=settings.threads, queue=settings.queue)

    def handle(taken: Sequence[tuple[Call, bytes | None]]) -> None:
        answers = answer_all([content or b"" for _, content in taken])
        for (call, _), answer in zip(taken, answers, strict=True):
            call.answer(answer)
            pool.leave(call)

    transport = Transport(server_options(settings))
    line = Line(handle, transport.soon, at_most=_TOGETHER)

    def arrived(call: Call) -> None:
        pool.enter(call)
        call.open(pool.leave)
        call.on_message(lambda call, content: line.join((call, content)))

    port = transport.open("127.0.0.1:0", None)
    transport.start(arrived)
    return port


def _constant(answer: bytes) -> AnswerAll:
    return lambda requests: [answer] * len(requests)


def _bare(folder: Path) -> AnswerAll:
    bundle = open_bundle(folder.parent, folder.name)
    predictor, contract, version = Predictor(bundle.model_bytes), bundle.contract, bundle.manifest.version

    def answer_all(contents: Sequence[bytes]) -> list[bytes]:
        requests = [pb.PredictRequest.FromString(content) for content in contents]
        numbers = np.array([[request.numbers[feature.name] for feature in contract.numbers] for request in requests])
        texts = np.array(
            [[request.texts[feature.name] for feature in contract.texts] for request in requests], dtype=object
        )
        scores = predictor.scores(numbers, texts).tolist()
        return [_answer(score, contract, version).SerializeToString() for score in scores]

    return answer_all


def _answer(score: float, contract: Contract, version: str) -> pb.PredictResponse:
    positive = score >= contract.threshold
    return pb.PredictResponse(
        prediction_id=_ID,
        label=contract.positive if positive else contract.negative,
        probability=score,
        confidence=score if positive else 1 - score,
        model_version=version,
        generation=1,
    )


if __name__ == "__main__":
    main()
