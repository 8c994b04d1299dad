"""One call by an ordinary client with the very bytes that the load sends, and the proof that all answers were alike."""

import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

import grpc
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.serving.load import Load, LoadError, Request, Sample

FRAME_HEADER_BYTES = 5
TOLERANCE = 1e-4
_TIMEOUT_SECONDS = 30.0

ScoresOf = Callable[[bytes], list[float]]
"""Reads the probabilities of the positive label from an answer."""


def post(request: Request) -> bytes:
    """Send one call and return the answer's bytes.

    Raises:
        LoadError: The status is not OK.
    """
    return _post_http(request) if request.http1 else _post_grpc(request)


def measured(load: Load, request: Request, *, concurrency: int, calls: int) -> Sample:
    """Put a server under load and prove that every call got a whole answer.

    A gRPC server that fails a call sends no message, and h2load sees only the HTTP status, which is 200 all the same.
    So the bytes of all messages are counted: they must be those of one good answer times the calls.

    Raises:
        LoadError: A call failed.
    """
    expected = len(post(request)) + FRAME_HEADER_BYTES
    sample = load(request, concurrency, calls)
    if not request.http1 and sample.body_bytes != calls * expected:
        raise LoadError(f"{request.url}: {sample.body_bytes} bytes came for {calls} answers of {expected} bytes")
    return sample


def check(request: Request, scores_of: ScoresOf, expected: NDArray[np.float64]) -> None:
    """Prove that a server answers the right scores.

    Raises:
        LoadError: It does not, by more than 1e-4.
    """
    scores = np.array(scores_of(post(request)))
    if scores.shape != expected.shape or not np.allclose(scores, expected, rtol=0, atol=TOLERANCE):
        raise LoadError(f"{request.url} answers {scores[:3]}, not {expected[:3]}")


def _post_grpc(request: Request) -> bytes:
    url = urlsplit(request.url)
    message = request.body[FRAME_HEADER_BYTES:]
    known = {"content-type", "te"}
    pairs = (header.split(": ", 1) for header in request.headers)
    metadata = [(name, value) for name, value in pairs if name not in known]
    with grpc.insecure_channel(url.netloc) as channel:
        try:
            answer: bytes = channel.unary_unary(url.path)(message, metadata=metadata, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise LoadError(f"{request.url}: {error}") from None
    return answer


def _post_http(request: Request) -> bytes:
    url = urlsplit(request.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        headers = dict(header.split(": ", 1) for header in request.headers)
        connection.request("POST", url.path, request.body, headers)
        response = connection.getresponse()
        answer = response.read()
    except OSError as error:
        raise LoadError(f"{request.url}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise LoadError(f"{request.url}: {response.status} {answer[:300]!r}")
    return answer
