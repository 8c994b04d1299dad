"""Refuses messages that would take much more memory once they are parsed than they took on the wire.

A nested message costs 2 bytes to send and about 100 to hold: 4 MiB of them parse into 200 MiB, and hold all threads up
for 150 ms. Counting first costs about 0.2 µs a part, so only messages are counted that are large enough to hurt.
"""

import threading
from collections.abc import Callable
from typing import Union

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from serving.api.call import Call
from serving.errors import ContractError, MessageLimitError, OverloadError, Violation

SMALL_BYTES = 4 * 1024
"""Messages up to this size claim no room: there are never more of them than places for calls. Health has no others."""

UNCOUNTED_BYTES = 256 * 1024
"""Elements of messages up to this size are not counted: at worst they parse into about 12 MiB."""

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
    """Bounds the bytes of all messages that are large and wait for a thread or are being answered.

    Attributes:
        free_bytes: What further messages may have.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self.free_bytes = maximum_bytes
        self._held: dict[Call, int] = {}
        self._lock = threading.Lock()

    def claim(self, call: Call, message: bytes | None) -> None:
        """Take room for the message of a call, if it is large, until it is released.

        Raises:
            OverloadError: Others hold so much that there is none.
        """
        n_bytes = len(message or b"")
        if n_bytes <= SMALL_BYTES:
            return
        with self._lock:
            if n_bytes > self.free_bytes:
                raise OverloadError("too many large requests at once", retry_after_seconds=_BUSY_SECONDS)
            self.free_bytes -= n_bytes
            self._held[call] = n_bytes

    def release(self, call: Call) -> None:
        """Give back what a call holds, if it still holds something."""
        if call in self._held:
            with self._lock:
                self.free_bytes += self._held.pop(call, 0)


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
