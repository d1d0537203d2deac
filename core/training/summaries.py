"""What the records of an event file say: numbers, histograms, images, texts and arrays by tag.

Numbers are most of what is written, and records of equal length mostly differ in nothing but the
numbers. So one record is taken apart, and all that agree with it elsewhere are read by numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from core.training.records import Bytes, Group, Ints
from core.training.tensors import array, histogram, is_number, proto_histogram, strings

Floats = npt.NDArray[np.float64]
Sink = Callable[[str, str, Any, Any, Any, Any], None]
"""``sink(kind, tag, order, steps, seconds, values)``, each of the last four ``[point]``."""

_FEW = 3  # records that are quicker read one by one
_MASKS = 16  # ways in which records of one length are compared
# Types of tensors in which a number may stand as bytes: DT_FLOAT, DOUBLE, INT32, INT64, HALF
_CONTENT = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
_PACKED = {5: (1, "<f4"), 6: (2, "<f8")}  # field of a tensor: type of tensor, of its values
_VARINT, _DOUBLE, _LENGTH, _FLOAT = 0, 1, 2, 5


class Field(NamedTuple):
    """A field of a message in protocol buffers: its number, wire type, and ``data[start:end]``."""

    number: int
    wire: int
    start: int
    end: int


class _NotPlain(Exception):
    """The record is not one of numbers only: it is left to protobuf."""


def _varint(data: bytes, here: int, end: int) -> tuple[int, int]:
    """The number at ``here`` and where it ends."""
    value = shift = 0
    while here < end and shift < 64:
        byte = data[here]
        here += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, here
        shift += 7
    raise _NotPlain


def _fields(data: bytes, here: int, end: int) -> Iterator[Field]:
    while here < end:
        key, start = _varint(data, here, end)
        wire = key & 7
        if wire == _LENGTH:
            length, start = _varint(data, start, end)
            here = start + length
        elif wire == _VARINT:
            here = _varint(data, start, end)[1]
        elif wire in (_DOUBLE, _FLOAT):
            here = start + (8 if wire == _DOUBLE else 4)
        else:
            raise _NotPlain
        if here > end:
            raise _NotPlain
        yield Field(key >> 3, wire, start, here)


class _Number(NamedTuple):
    tag: str
    start: int
    type: str


@dataclass(frozen=True)
class _Template:
    """Where the numbers of a record stand; ``mask`` ``[byte]`` keeps all other bits."""

    mask: Bytes
    seconds: Field | None
    step: Field | None
    numbers: tuple[_Number, ...]

    @classmethod
    def of(cls, data: bytes, plugins: dict[str, str]) -> _Template | None:
        """None unless ``data`` is an event of numbers only."""
        try:
            event = {}
            for field in _fields(data, 0, len(data)):
                if field.number in event or (field.number, field.wire) not in (
                    (1, _DOUBLE),
                    (2, _VARINT),
                    (5, _LENGTH),
                ):
                    return None
                event[field.number] = field
            if 5 not in event:
                return None
            numbers = tuple(
                _number(data, value, plugins)
                for value in _fields(data, event[5].start, event[5].end)
            )
        except (_NotPlain, UnicodeDecodeError):
            return None
        seconds, step = event.get(1), event.get(2)
        mask = np.full(len(data), 255, np.uint8)
        if seconds:
            mask[seconds.start : seconds.end] = 0
        if step:
            mask[step.start : step.end] = 128
        for number in numbers:
            mask[number.start : number.start + np.dtype(number.type).itemsize] = 0
        return cls(mask, seconds, step, numbers)

    def read(self, rows: Bytes, order: Ints, sink: Sink) -> None:
        """All numbers of records that have this form."""
        steps = np.zeros(len(rows), np.uint64)
        if self.step:
            for shift, column in enumerate(range(self.step.start, self.step.end)):
                steps |= (rows[:, column] & 127).astype(np.uint64) << np.uint64(7 * shift)
        seconds = np.zeros(len(rows))
        if self.seconds:
            seconds = _column(rows, self.seconds.start, "<f8")
        for number in self.numbers:
            values = _column(rows, number.start, number.type)
            sink("scalars", number.tag, order, steps.view(np.int64), seconds, values)


def _column(rows: Bytes, start: int, kind: str) -> Floats:
    end = start + np.dtype(kind).itemsize
    column = np.ascontiguousarray(rows[:, start:end]).view(kind)[:, 0]
    return column.astype(np.float64)


def _number(data: bytes, value: Field, plugins: dict[str, str]) -> _Number:
    """The number in one value of a summary."""
    if (value.number, value.wire) != (1, _LENGTH):
        raise _NotPlain
    parts = {field.number: field for field in _fields(data, value.start, value.end)}
    if 1 not in parts or not parts.keys() <= {1, 2, 8, 9} or parts[1].wire != _LENGTH:
        raise _NotPlain
    tag = data[parts[1].start : parts[1].end].decode()
    if 9 in parts and tag not in plugins:
        plugins[tag] = _plugin(data, parts[9])
    if plugins.get(tag, "") not in ("", "scalars"):
        raise _NotPlain
    match parts.get(2), parts.get(8):
        case Field(wire=wire, start=start), None if wire == _FLOAT:
            return _Number(tag, start, "<f4")
        case None, Field(wire=wire) as tensor if wire == _LENGTH:
            return _Number(tag, *_single(data, tensor))
    raise _NotPlain


def _single(data: bytes, tensor: Field) -> tuple[int, str]:
    """Where the only number of a tensor stands, and its type."""
    parts = {field.number: field for field in _fields(data, tensor.start, tensor.end)}
    shape, kind = parts.pop(2, None), parts.pop(1, None)
    if kind is None or kind.wire != _VARINT or len(parts) != 1:
        raise _NotPlain
    if shape and shape.start != shape.end:  # of several dimensions: left to protobuf
        raise _NotPlain
    number, _ = _varint(data, kind.start, kind.end)
    [(field, content)] = parts.items()
    type_ = _CONTENT.get(number) if field == 4 else None
    if field in _PACKED and _PACKED[field][0] == number:
        type_ = _PACKED[field][1]
    if type_ is None or content.end - content.start != np.dtype(type_).itemsize:
        raise _NotPlain
    return content.start, type_


def _plugin(data: bytes, metadata: Field) -> str:
    """The plugin's name in a value's metadata."""
    for part in _fields(data, metadata.start, metadata.end):
        if part.number == 1:
            for field in _fields(data, part.start, part.end):
                if field.number == 1:
                    return data[field.start : field.end].decode()
    return ""


class Reader:
    """Reads the records of one file; ``plugins`` remembers by tag whose data they are."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._plugins: dict[str, str] = {}
        self.restarts: list[tuple[int, int]] = []
        """Where training went on: order of the record, and the step from which on what was written
        before does not count."""
        self.unreadable = 0

    def read(self, group: Group, first: int) -> None:
        """Read records; ``first`` is the order of the scan's first record in the file."""
        left = np.arange(len(group.rows))
        order = group.order + first
        words = _words(group.rows) if left.size > _FEW else None
        seen: set[bytes] = set()
        alone: list[int] = []
        while words is not None and left.size > _FEW and len(seen) < _MASKS:
            template = _Template.of(group.rows[left[0]].tobytes(), self._plugins)
            if template is None:
                alone.append(int(left[0]))
                left = left[1:]
                continue
            seen.add(template.mask.tobytes())
            left = self._alike(group.rows, words, left, order, template)
        for index in sorted([*alone, *left.tolist()]):
            self._event(group.rows[index].tobytes(), int(order[index]))

    def _alike(
        self,
        rows: Bytes,
        words: npt.NDArray[np.uint64],
        left: Ints,
        order: Ints,
        template: _Template,
    ) -> Ints:
        """Read the records that have their numbers where ``template`` has them; the rest."""
        masked = words[left] & _words(template.mask[None])
        generator = np.random.default_rng(0)  # odd factors: sums that differ for different rows
        factors = generator.integers(0, 2**63, masked.shape[1], dtype=np.uint64) * np.uint64(2) + 1
        sums = (masked * factors).sum(axis=1, dtype=np.uint64)
        by_sum = np.argsort(sums, kind="stable")
        rest = []
        for members in np.split(by_sum, np.flatnonzero(np.diff(sums[by_sum])) + 1):
            chosen = left[members]
            form = _Template.of(rows[chosen[0]].tobytes(), self._plugins)
            if form is None or not np.array_equal(form.mask, template.mask):
                rest.append(chosen)
                continue
            equal = (masked[members] == masked[members[0]]).all(axis=1)
            if not equal.all():
                rest.append(chosen[~equal])
                chosen = chosen[equal]
            form.read(rows[chosen], order[chosen], self._sink)
        return np.sort(np.concatenate(rest)) if rest else left[:0]

    def _event(self, payload: bytes, order: int) -> None:
        """Read any record by protobuf."""
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        try:
            event = Event.FromString(payload)
        except DecodeError:
            self.unreadable += 1
            return
        if event.HasField("session_log") and event.session_log.status == SessionLog.START:
            self.restarts.append((order, event.step))
        for value in event.summary.value:
            try:
                found = self._value(value)
            except ValueError:
                self.unreadable += 1
                continue
            for kind, item in found:
                self._sink(kind, value.tag, [order], [event.step], [event.wall_time], [item])

    def _value(self, value: Any) -> list[tuple[str, Any]]:
        """What one value of a summary holds, as pairs of kind and item."""
        if value.HasField("metadata"):
            self._plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
        plugin = self._plugins.get(value.tag, "")
        match value.WhichOneof("value"):
            case "simple_value":
                return [("scalars", value.simple_value)]
            case "histo":
                return [("histograms", item) for item in proto_histogram(value.histo)]
            case "image":
                return [("images", value.image.encoded_image_string)]
            case "tensor" if value.tensor.dtype == 7:  # DT_STRING
                return _of_strings(plugin, strings(value.tensor))
            case "tensor":
                values = array(value.tensor)
                if plugin == "histograms":
                    return [("histograms", item) for item in histogram(values)]
                if is_number(values) and plugin in ("", "scalars"):
                    return [("scalars", float(values.reshape(())))]
                return [("arrays", values)]
        return []


def _of_strings(plugin: str, items: list[bytes]) -> list[tuple[str, Any]]:
    if plugin == "images":  # width and height come first
        return [("images", item) for item in items[2:]]
    if plugin in ("", "text"):
        return [("texts", b"\n".join(items))]
    return []


def _words(rows: Bytes) -> npt.NDArray[np.uint64]:
    """``rows`` as numbers of 8 bytes, with zeros at the end."""
    count, length = rows.shape
    padded = np.zeros((count, -(-length // 8) * 8), np.uint8)
    padded[:, :length] = rows
    return padded.view(np.uint64)
