"""Weights and constants of an archive: raw bytes, and what the file says of their type and shape.

A tensor lies inside the bytes it names, is not larger than they are, and is never a pickle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.errors import BadModel, shortened
from core.models.exported.archive import Archive
from core.models.exported.program import Program
from core.models.exported.values import dotted

BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""Bytes of a value by the format's number of its type: uint8, int8, int16, int32, int64, half,
float, double, bool, bfloat16.
"""
_MOST_VIEWS = 3  # bytes of all tensors, in multiples of the bytes of all members


@dataclass(frozen=True)
class Payload:
    """The configuration to be written, the members it names by their new names, and the number of
    values in each tensor.
    """

    config: dict[str, Any]
    members: dict[str, str]
    values: dict[str, int]


def payload(
    archive: Archive, program: Program, folder: str, prefix: str, wanted: set[str]
) -> Payload:
    """Check the tensors below ``data/<folder>/``.

    Raises ``BadModel`` for pickles, objects, tensors outside their bytes or larger than them,
    tensors that the program needs and the file lacks.
    """
    path = f"data/{folder}/model_{folder}_config.json"
    if path not in archive.members:
        raise archive.refused(f"it has no list of its {folder}")
    raw = archive.json(path)
    entries = raw.get("config") if isinstance(raw, dict) else None
    if not isinstance(entries, dict):
        raise archive.refused(f"its list of {folder} is of another kind than expected")
    config: dict[str, Any] = {}
    members: dict[str, str] = {}
    values: dict[str, int] = {}
    claimed, distinct = 0, set()
    for name, about in entries.items():
        one = shortened(repr(name), 60)
        try:
            dotted(name, archive.refused)
            if about["use_pickle"] is not False or about["tensor_meta"] is None:
                raise _pickled(archive, one)
            member = f"data/{folder}/{about['path_name']}"
            if member not in archive.members:
                raise archive.refused(f"the bytes of {one} are not in it")
            meta = program.meta(about["tensor_meta"])
            count, size = _inside(meta, archive.members[member].file_size, one, archive.refused)
        except (KeyError, TypeError, AttributeError):
            raise archive.refused(
                f"what it says of {one} is of another kind than expected"
            ) from None
        new = members.setdefault(member, f"{prefix}{len(members)}")
        values[name] = count
        key = (new, repr(meta))
        if key not in distinct:
            distinct.add(key)
            claimed += count * size
        config[name] = {
            "path_name": new,
            "is_param": about.get("is_param") is True,
            "use_pickle": False,
            "tensor_meta": meta,
        }
    total = sum(archive.members[each].file_size for each in members)
    if claimed > _MOST_VIEWS * total:
        raise archive.refused(f"its {folder} claim {claimed:,} bytes and are {total:,}")
    if lost := sorted(wanted - config.keys()):
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise archive.refused(f"the tensors {', '.join(lost[:3])}{more} are missing")
    return Payload({"config": config}, members, values)


def _inside(
    meta: dict[str, Any], present: int, name: str, refuse: Callable[[str], BadModel]
) -> tuple[int, int]:
    """The number of values, and bytes of one, of a tensor that lies inside ``present`` bytes."""
    whole = [
        each.get("as_int") for each in (*meta["sizes"], *meta["strides"], meta["storage_offset"])
    ]
    if any(type(each) is not int or each < 0 for each in whole):
        raise refuse(f"{name} has no fixed size")
    if meta["dtype"] not in BYTES:
        raise refuse(f"{name} is of a type that is not read")
    axes = len(meta["sizes"])
    sizes, strides, offset = whole[:axes], whole[axes : 2 * axes], whole[-1]
    size, count = BYTES[meta["dtype"]], math.prod(sizes)
    reach = offset + 1 + sum((n - 1) * stride for n, stride in zip(sizes, strides, strict=True))
    if present % size or (count and reach * size > present):
        raise refuse(
            f"{name} claims {max(reach, count) * size:,} bytes, the file has {present:,} for it"
        )
    if count * size > present:
        raise refuse(f"{name} claims {count * size:,} bytes, the file has {present:,} for it")
    return count, size


def _pickled(archive: Archive, name: str) -> BadModel:
    return archive.refused(
        f"{name} is stored as a pickle, which can run code",
        "Export the module with ordinary tensors: no quantised or other special ones, "
        "and no objects of your own.",
    )
