"""Refuses messages that would take much more memory once they are parsed than they took on the wire.

A nested message costs 2 bytes to send and about 100 to hold: 4 MiB of them parse into 200 MiB, and hold all threads up
for 150 ms. Counting first costs about 0.2 µs a part, so only messages are counted that are large enough to hurt.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Union

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from serving.errors import ContractError, MessageLimitError, OverloadError, Violation

UNCOUNTED_BYTES = 256 * 1024
"""Messages up to this size are not counted: at worst they parse into about 12 MiB."""

MAXIMUM_ELEMENTS = 200_000
"""Fields, entries and nested messages of one message: 1000 rows of nearly 200 texts, each sent as itself."""

_PACKED_PER_ELEMENT = 8
"""Packed integers that take as much memory as another element."""

_BUSY_SECONDS = 0.2
_CONTINUED = bytes(range(0x80, 0x100))
_VARINTS = frozenset(
    {
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_BOOL,
        FieldDescriptor.TYPE_ENUM,
    }
)

Shape = dict[int, Union["Shape", None]]
"""Field number to the shape of the message in it, or None for packed integers; other fields are not in it."""


class LargeMessages:
    """Bounds the bytes of all messages that are large and being answered."""

    def __init__(self, maximum_bytes: int) -> None:
        self._free_bytes = maximum_bytes
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, n_bytes: int) -> Iterator[None]:
        """Claim room for the time of the block.

        Raises:
            OverloadError: Others hold so much that there is none.
        """
        with self._lock:
            fits = n_bytes <= self._free_bytes
            self._free_bytes -= n_bytes if fits else 0
        if not fits:
            raise OverloadError("too many large requests at once", retry_after_seconds=_BUSY_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._free_bytes += n_bytes


def parser_of(descriptor: Descriptor) -> Callable[[bytes], Message]:
    """Return what parses messages of this type.

    It raises ContractError for bytes that are no such message, and MessageLimitError for more than 200,000 elements.
    """
    parse, shape = GetMessageClass(descriptor).FromString, _shape_of(descriptor, {})

    def parse_within_limits(content: bytes) -> Message:
        try:
            if len(content) > UNCOUNTED_BYTES:
                _count(content, shape)
            return parse(content)
        except DecodeError:
            raise ContractError([Violation("message", f"is not a {descriptor.full_name}")]) from None

    return parse_within_limits


def _shape_of(descriptor: Descriptor, known: dict[str, Shape]) -> Shape:
    if descriptor.full_name not in known:
        shape = known[descriptor.full_name] = {}
        for field in descriptor.fields:
            if field.message_type is not None:
                shape[field.number] = _shape_of(field.message_type, known)
            elif field.is_repeated and field.type in _VARINTS:
                shape[field.number] = None
    return known[descriptor.full_name]


def _count(content: bytes, shape: Shape) -> None:
    room = MAXIMUM_ELEMENTS
    spans = [(0, len(content), shape)]
    try:
        while spans:
            at, end, shape = spans.pop()
            while at < end:
                room -= 1
                number, wire_type, at = _tag(content, at)
                if wire_type == _LENGTH_DELIMITED:
                    length, at = _varint(content, at)
                    inner = shape.get(number, _PLAIN)
                    if inner is None:
                        n_packed = len(content[at : at + length].translate(None, _CONTINUED))
                        room -= n_packed // _PACKED_PER_ELEMENT
                    elif inner is not _PLAIN and length:
                        spans.append((at, at + length, inner))
                    at += length
                elif wire_type == 0:
                    _, at = _varint(content, at)
                else:
                    at += _FIXED_BYTES[wire_type]
                if room < 0:
                    raise MessageLimitError(f"the message has more than {MAXIMUM_ELEMENTS} elements")
            if at != end:
                raise DecodeError
    except (IndexError, KeyError):
        raise DecodeError from None


_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_PLAIN: Shape = {}


def _tag(content: bytes, at: int) -> tuple[int, int, int]:
    tag = content[at]
    if tag < 0x80:
        return tag >> 3, tag & 7, at + 1
    tag, at = _varint(content, at)
    return tag >> 3, tag & 7, at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = content[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError
