"""What a message may bring: bytes, elements, rows, and no compression."""

import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos.mlops.v1 import feedback_pb2, prediction_pb2
from serving.api.message_limits import MAXIMUM_ELEMENTS, SMALL_BYTES, UNCOUNTED_BYTES, LargeMessages, parser_of
from serving.errors import ContractError, MessageLimitError, OverloadError
from tests.serving.api import BATCH, FEEDBACK, HEALTH, PREDICT, READ_BACK, RunningApi, running_api
from tests.serving.harness import ROOT

MIB = 1024 * 1024
BATCH_REQUEST = prediction_pb2.PredictBatchRequest.DESCRIPTOR
EMPTY_COLUMN = b"\x12\x00"
EMPTY_KEY = b"\x1a\x00"


def varint(number: int) -> bytes:
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def nested(tag: int, body: bytes) -> bytes:
    return bytes([tag]) + varint(len(body)) + body


HOSTILE = {
    "empty columns": EMPTY_COLUMN * (2 * MIB - 1),
    "empty keys": EMPTY_KEY * (2 * MIB - 1),
    "one column that changes its mind": nested(0x12, b"\x12\x00\x1a\x00" * (MIB - 4)),
    "a dictionary of empty texts": nested(0x12, nested(0x1A, b"\x0a\x00" * (2 * MIB - 16))),
    "times of one byte": nested(0x22, b"\x01" * (4 * MIB - 16)),
    "codes of one byte": nested(0x12, nested(0x1A, nested(0x12, b"\x01" * (4 * MIB - 24)))),
    "times that are not packed": b"\x20\x01" * (2 * MIB - 1),
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_too_many_elements_are_refused_before_they_are_parsed(api: RunningApi, content: bytes):
    with pytest.raises(grpc.RpcError) as caught:
        api.call(BATCH, content)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == f"the message has more than {MAXIMUM_ELEMENTS} elements"


def test_too_many_labels_are_refused(api: RunningApi):
    assert api.status(FEEDBACK, b"\x12\x00" * MIB) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_hostile_messages_leave_the_memory_as_it_was():
    code = """
    import resource, sys
    from serving.api.message_limits import parser_of
    from serving.errors import MessageLimitError
    from tests.serving.test_message_limits import BATCH_REQUEST, HOSTILE
    parse = parser_of(BATCH_REQUEST)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in HOSTILE.values():
        try:
            parse(content)
        except MessageLimitError:
            pass
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert int(finished.stdout) < 20


def test_a_thousand_rows_of_two_hundred_columns_pass(api: RunningApi):
    columns = [
        prediction_pb2.Column(name=f"n{i}", numbers=prediction_pb2.NumberColumn(values=[0.5] * 1000))
        for i in range(200)
    ]
    dictionary = prediction_pb2.TextColumn(dictionary=[f"c{i}" for i in range(1000)], codes=range(1, 1001))
    columns += [prediction_pb2.Column(name=f"t{i}", texts=dictionary) for i in range(100)]
    request = prediction_pb2.PredictBatchRequest(
        model="toy", columns=columns, entity_keys=[f"k{i}" for i in range(1000)], event_times_us=range(1000)
    )
    content = request.SerializeToString()
    assert len(content) > UNCOUNTED_BYTES
    answer = prediction_pb2.PredictBatchResponse.FromString(api.call(BATCH, content))
    assert list(answer.labels) == ["toy"]


@pytest.mark.parametrize(("method", "kib"), [(PREDICT, 256), (READ_BACK, 4), (HEALTH, 4)])
def test_every_method_takes_no_more_bytes_than_it_needs(api: RunningApi, method: str, kib: int):
    with pytest.raises(grpc.RpcError) as caught:
        api.call(method, nested(0x0A, b"x" * kib * 1024))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"at most {kib * 1024} are taken" in caught.value.details()


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_refused(api: RunningApi, algorithm: grpc.Compression):
    channel = grpc.insecure_channel(f"127.0.0.1:{api.port}", compression=algorithm)
    with channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(BATCH)(b"\0" * (30 * MIB), timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "is disabled" in caught.value.details()


def test_large_requests_share_a_bounded_number_of_bytes():
    large, one, other, third = LargeMessages(10 * SMALL_BYTES), object(), object(), object()
    large.claim(one, bytes(6 * SMALL_BYTES))
    with pytest.raises(OverloadError) as caught:
        large.claim(other, bytes(5 * SMALL_BYTES))
    assert caught.value.retry_after_seconds > 0
    large.claim(third, bytes(4 * SMALL_BYTES))
    large.claim(other, bytes(SMALL_BYTES))
    for call in (one, other, third, one):
        large.release(call)
    assert large.free_bytes == 10 * SMALL_BYTES


def test_a_large_message_that_is_none_is_an_invalid_argument(api: RunningApi):
    truncated = nested(0x12, EMPTY_COLUMN * (UNCOUNTED_BYTES // 4)) + b"\x12"
    beyond = b"\x0a" + varint(3 * MIB) + b"x" * UNCOUNTED_BYTES
    for content in (b"\xff" * (UNCOUNTED_BYTES + 1), truncated, beyond, b"\x0b" * (UNCOUNTED_BYTES + 1)):
        assert api.status(BATCH, content) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_without_a_message_is_an_invalid_argument(api: RunningApi):
    with pytest.raises(grpc.RpcError) as caught:
        api.channel.stream_unary(PREDICT)(iter(()), timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def messages() -> st.SearchStrategy:
    texts = st.builds(prediction_pb2.TextColumn, dictionary=st.lists(st.text()), codes=st.lists(st.integers(0, 9)))
    numbers = st.builds(prediction_pb2.NumberColumn, values=st.lists(st.floats()))
    columns = st.builds(prediction_pb2.Column, name=st.text(), numbers=numbers) | st.builds(
        prediction_pb2.Column, name=st.text(), texts=texts
    )
    return st.builds(
        prediction_pb2.PredictBatchRequest,
        model=st.text(),
        columns=st.lists(columns),
        entity_keys=st.lists(st.text()),
        event_times_us=st.lists(st.integers(-(2**63), 2**63 - 1)),
    )


@given(messages())
@settings(max_examples=25, deadline=None)
def test_counting_takes_every_message_that_protobuf_writes(message: prediction_pb2.PredictBatchRequest):
    padded = nested(0x2A, b"x" * UNCOUNTED_BYTES) + message.SerializeToString()
    assert parser_of(BATCH_REQUEST)(padded) == prediction_pb2.PredictBatchRequest.FromString(padded)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_counting_refuses_only_what_protobuf_refuses(tail: bytes):
    content = nested(0x0A, b"x" * UNCOUNTED_BYTES) + tail
    try:
        expected = feedback_pb2.SubmitFeedbackRequest.FromString(content)
    except Exception:
        with pytest.raises(ContractError):
            parser_of(feedback_pb2.SubmitFeedbackRequest.DESCRIPTOR)(content)
    else:
        try:
            assert parser_of(feedback_pb2.SubmitFeedbackRequest.DESCRIPTOR)(content) == expected
        except ContractError:  # groups, which no proto of ours has
            assert any(byte & 7 in {3, 4} for byte in tail)


def test_counting_the_largest_message_holds_nobody_up():
    content = EMPTY_KEY * (2 * MIB - 1)
    began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(MessageLimitError):
        parser_of(BATCH_REQUEST)(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - began < 0.3
