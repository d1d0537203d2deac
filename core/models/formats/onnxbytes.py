"""An ONNX graph with its weights: those in files beside it are taken in, none is followed anywhere
else. Imports onnx when it reads.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from core.errors import BadModel, MissingExtra, shortened
from core.models.converted.graph import MOST_NODES
from core.provenance import sha256, sha256_of_file

LARGEST: Final = 2**31  # what a protocol buffer holds
_Name = tuple[str, str, str]  # domain, name and overload
_DEEPEST: Final = 64  # functions within functions
AGAIN: Final = "Export it again, with standard operators and its weights inside."
_ONE_FILE: Final = (
    "Write one file: torch.onnx.export(…, external_data=False); or bring a folder or zip with the "
    ".onnx file and its weights beside it."
)
_ELSEWHERE: Final = 1  # TensorProto.EXTERNAL
# an entry "location" in a list of texts by name, as it stands in the file: tag, length, text
_LOCATION: Final = re.compile(rb"\x0a\x08location\x12([\x01-\x7f]|[\x80-\xff][\x01-\x1f])")


def whole(path: Path) -> bytes:
    """The graph as one file that names no other.

    Raises ``BadModel`` for weights that are outside the file's folder, behind a link or not there,
    for more than 2 GiB in all, and for what is no graph; ``MissingExtra`` without onnx.
    """
    if path.stat().st_size > LARGEST:
        raise BadModel(f"'{path.name}' has more than 2 GiB.", "Save a smaller model.")
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise missing(path) from None
    data = path.read_bytes()
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise BadModel(f"'{path.name}' is no ONNX graph, or it is cut off.", AGAIN) from None
    if len(model.functions) and _written_out(model) > MOST_NODES:
        raise BadModel(
            f"'{shortened(path.name, 80)}' calls functions within functions, and has more than "
            f"{MOST_NODES:,} nodes when they are written out.",
            AGAIN,
        )
    room = LARGEST - len(data)
    found = False
    for tensor in _tensors(model, onnx.TensorProto):
        if tensor.data_location == _ELSEWHERE or tensor.external_data:
            values = _read(path, {each.key: each.value for each in tensor.external_data}, room)
            room -= len(values)
            tensor.raw_data = values
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
            found = True
    return model.SerializeToString() if found else data


def beside(path: Path) -> list[Path]:
    """The files that a graph seems to take weights from, as far as they are there and in its
    folder: found by looking for their names, without reading the graph.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        names = {_text(data, each.end(), each.group(1)) for each in _LOCATION.finditer(data)}
    places = []
    for name in sorted(names):
        try:
            places.append(_place(path, name))
        except BadModel:  # whoever reads it says so
            continue
    return places


def digest(path: Path) -> str:
    """SHA-256 of a graph and of the files beside it that it takes weights from."""
    others = beside(path)
    if not others:
        return sha256_of_file(path)
    return sha256("\n".join(sha256_of_file(each) for each in (path, *others)).encode())


def size(path: Path) -> int:
    """Bytes of a graph and of the files beside it."""
    return path.stat().st_size + sum(each.stat().st_size for each in beside(path))


def missing(path: Path) -> MissingExtra:
    """The error where the packages that read graphs are not installed."""
    return MissingExtra(
        f"'{path.name}' is read by an optional package.",
        "Install it with: pip install 'fluoroscope[sklearn]'.",
    )


def _text(data: Any, start: int, length: bytes) -> str:
    count = length[0] if len(length) == 1 else (length[0] & 0x7F) + (length[1] << 7)
    return bytes(data[start : start + count]).decode("utf-8", "replace")


def _written_out(model: Any) -> int:
    """How many nodes a graph has where each call of a function stands for the function's nodes;
    more than any graph may have where functions call each other in a circle, or too deep.
    """
    calls = {
        (each.domain, each.name, each.overload): _called(each.node) for each in model.functions
    }
    sizes: dict[_Name, int] = {}
    for _ in range(_DEEPEST):
        ready = [
            key
            for key, inside in calls.items()
            if key not in sizes and all(each in sizes for each in inside if each in calls)
        ]
        if not ready:
            break
        for key in ready:
            sizes[key] = sum(sizes.get(each, 1) * times for each, times in calls[key].items())
    if len(sizes) < len(calls):
        return MOST_NODES + 1
    return sum(sizes.get(each, 1) * times for each, times in _called(model.graph.node).items())


def _called(nodes: Iterable[Any]) -> Counter[_Name]:
    """How often each operator stands among nodes and in the graphs inside them."""
    found: Counter[_Name] = Counter()
    for node in nodes:
        found[node.domain, node.op_type, node.overload] += 1
        for setting in node.attribute:
            for inner in (*([setting.g] if setting.HasField("g") else []), *setting.graphs):
                found += _called(inner.node)
    return found


def _tensors(message: Any, kind: type) -> Iterator[Any]:
    """Every tensor in a message, wherever it is."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for each in value if hasattr(value, "__len__") else (value,):
            if isinstance(each, kind):
                yield each
            else:
                yield from _tensors(each, kind)


def _place(path: Path, location: str) -> Path:
    """Where weights are: an ordinary file in the folder of the graph, or below."""
    name, shown = shortened(path.name, 80), shortened(repr(location), 80)
    parts = location.split("/")
    if (
        not location
        or "\\" in location
        or "\0" in location
        or ":" in parts[0]
        or PurePosixPath(location).is_absolute()
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise BadModel(
            f"'{name}' takes weights from {shown}, outside its folder, which is not followed.",
            _ONE_FILE,
        )
    place = path.parent
    for part in parts:
        place = place / part
        try:
            kind = place.lstat().st_mode
        except (OSError, ValueError):
            raise BadModel(
                f"'{name}' has weights in another file, {shown}, which is not beside it.", _ONE_FILE
            ) from None
        if stat.S_ISLNK(kind):
            raise BadModel(
                f"'{name}' takes weights from {shown}, which is a link and is not followed.",
                _ONE_FILE,
            )
    if not stat.S_ISREG(kind):
        raise BadModel(f"'{name}' takes weights from {shown}, which is no file.", _ONE_FILE)
    return place


def _read(path: Path, said: dict[str, str], room: int) -> bytes:
    place = _place(path, said.get("location", ""))
    handle = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        total = os.fstat(file.fileno()).st_size
        try:
            start = int(said.get("offset") or 0)
            length = int(said["length"]) if said.get("length") else total - start
        except ValueError:
            start = length = -1
        if not (start >= 0 and length >= 0 and start + length <= total):
            raise BadModel(
                f"'{shortened(path.name, 80)}' takes weights beyond the end of '{place.name}'.",
                "It may be cut off: copy both files again.",
            )
        if length > room:
            raise BadModel(
                f"'{shortened(path.name, 80)}' and its weights have more than 2 GiB.",
                "Save a smaller model.",
            )
        file.seek(start)
        return file.read(length)
