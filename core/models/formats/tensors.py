"""A stranger's safetensors file: its header is read by us before the library sees it.

Imports no torch. Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from core.errors import BadModel, shortened

_MOST = 200_000
_LARGEST_HEADER = 100_000_000
_LONGEST_NAME = 1000
_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4,
    "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
_AGAIN = "It may be cut off or made by hand: save it with safetensors.torch.save_file."


def checked(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The type and shape of each tensor, once the header fits the file byte by byte.

    Raises ``BadModel`` for a header that is no JSON or longer than the file, names that are given
    twice, types that are not known, and tensors that lie over each other, leave gaps, or claim
    more bytes than there are.
    """
    name = shortened(path.name, 80)

    def refused(why: str) -> BadModel:
        return BadModel(f"'{name}' is no sound safetensors file: {why}.", _AGAIN)

    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            raise refused(f"its header claims {length:,} bytes, the file has {size:,}")
        if length > _LARGEST_HEADER:
            raise refused(f"its header has {length:,} bytes, at most {_LARGEST_HEADER:,} are read")
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_once)
    except _TwiceError as twice:
        raise refused(f"it names {shortened(repr(str(twice)), 80)} twice") from None
    except (ValueError, RecursionError):
        raise refused("its header is no JSON") from None
    if not isinstance(header, dict) or len(header) > _MOST:
        raise refused("its header is no list of tensors")
    header.pop("__metadata__", None)
    places = sorted(_place(key, about, refused) for key, about in header.items())
    end = 0
    for start, stop, key in places:
        if start < end:
            raise refused(f"{shortened(repr(key), 80)} lies over another tensor")
        if start > end:
            raise refused(f"there is a gap before {shortened(repr(key), 80)}")
        end = stop
    if end != size - 8 - length:
        raise refused(f"its tensors claim {end:,} bytes, and there are {size - 8 - length:,}")
    return {key: (about["dtype"], tuple(about["shape"])) for key, about in header.items()}


def mark(path: Path, text: str) -> None:
    """Write a short ``text`` into our own file, so that its digest is another: into the header of
    safetensors, or at the end of an ONNX graph, as one of its ``metadata_props`` (fields of a
    protocol buffer may be appended). A model whose weights are in several files has none to mark.
    """
    if not path.is_file():
        return
    if path.suffix == ".onnx":
        pairs = ((0x0A, b"said"), (0x12, text.encode()))
        entry = b"".join(bytes([tag, len(part)]) + part for tag, part in pairs)
        with path.open("ab") as file:
            file.write(bytes([0x72, len(entry)]) + entry)
        return
    draft = path.with_name(f".{path.name}.new")
    with path.open("rb") as file, draft.open("wb") as out:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        header["__metadata__"] = {"format": "pt", "said": text}
        data = json.dumps(header).encode()
        data += b" " * (-len(data) % 8)
        out.write(len(data).to_bytes(8, "little") + data)
        shutil.copyfileobj(file, out, 2**20)
    draft.replace(path)


class _TwiceError(Exception):
    """A name that is given twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _place(key: str, about: Any, refused: Any) -> tuple[int, int, str]:
    shown = shortened(repr(key), 80)
    try:
        kind, shape, (start, stop) = about["dtype"], about["shape"], about["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise refused(f"{shown} is described wrongly") from None
    if kind not in _SIZES:
        raise refused(f"{shown} is of the type {shortened(repr(kind), 20)}, which is not read")
    numbers = [start, stop, *shape] if isinstance(shape, list) else [None]
    if (
        not all(type(each) is int and each >= 0 for each in numbers)
        or not 0 < len(key) <= _LONGEST_NAME
    ):
        raise refused(f"{shown} has a shape or a place that cannot be")
    claimed = math.prod(shape) * _SIZES[kind]
    if claimed != stop - start:
        raise refused(f"{shown} claims {claimed:,} bytes and has a place of {stop - start:,}")
    return start, stop, key
