"""Values of an exported program, each written anew from what it may be: whole numbers, names,
sizes, shapes and arguments. What is anything else is refused.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import BadModel, shortened
from core.models.exported.expressions import rewritten

Refusal = Callable[[str], BadModel]

MOST_NODES = 200_000
CPU = {"type": "cpu", "index": None}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_@]{1,128}(\.[A-Za-z0-9_@]{1,128}){0,31}", re.ASCII)
_TEXT = re.compile(r"[A-Za-z0-9_ ,.:;>=<*/+()\[\]'!-]{0,500}", re.ASCII)
_WHOLE = 2**63


def identifier(value: Any, refuse: Refusal) -> str:
    """A name that may stand in generated code. Raises what ``refuse`` makes."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or keyword.iskeyword(value):
        raise refuse(f"{shortened(repr(value), 60)} is no name")
    if value.startswith("__") and value.endswith("__"):
        raise refuse(f"{shortened(repr(value), 60)} is a name that Python keeps for itself")
    return value


def dotted(value: Any, refuse: Refusal) -> str:
    """The path of a layer or a weight, as in ``named_modules``. Raises what ``refuse`` makes."""
    if value == "":
        return ""
    if not isinstance(value, str) or not _PATH.fullmatch(value) or "__." in f"{value}.":
        raise refuse(f"{shortened(repr(value), 60)} is no path of a layer or weight")
    return value


class Values:
    """Readers of values. ``refuse`` makes the error for what is not let through."""

    def __init__(self, refuse: Refusal) -> None:
        self._refuse = refuse
        self._left = MOST_NODES

    def _object(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._refuse("a part of its program is of another kind than expected")
        return value

    def _list(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self._refuse("a part of its program is no list")
        self._left -= 1 + len(value) // 16
        if self._left < 0:
            raise self._refuse(f"its program is larger than {MOST_NODES:,} steps")
        return value

    def _name(self, value: Any) -> str:
        return identifier(value, self._refuse)

    def _path(self, value: Any) -> str:
        return dotted(value, self._refuse)

    def _whole(self, value: Any) -> int:
        if type(value) is not int or abs(value) > _WHOLE:
            raise self._refuse(f"{shortened(repr(value), 40)} is no whole number")
        return value

    def _bound(self, value: Any) -> int | None:
        return None if value is None else self._whole(value)

    def _number(self, value: Any) -> float | str:
        if isinstance(value, str) and value in ("Infinity", "-Infinity", "NaN"):
            return value
        if type(value) not in (int, float):
            raise self._refuse(f"{shortened(repr(value), 40)} is no number")
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    def _bool(self, value: Any) -> bool:
        if type(value) is not bool:
            raise self._refuse(f"{shortened(repr(value), 40)} is neither true nor false")
        return value

    def _string(self, value: Any) -> str:
        if not isinstance(value, str) or not _TEXT.fullmatch(value):
            raise self._refuse(f"it holds the text {shortened(repr(value), 60)}")
        return value

    def _union(self, value: Any) -> tuple[str, Any]:
        pairs = list(self._object(value).items())
        if len(pairs) != 1:
            raise self._refuse("a value of its program is of several kinds")
        return pairs[0]

    def _size(self, value: Any) -> dict[str, Any]:
        """A whole number, truth value or number that may depend on the input."""
        kind, inner = self._union(value)
        if kind == "as_expr":
            hint = self._object(inner).get("hint")
            try:
                written = rewritten(inner["expr_str"])
            except ValueError as error:
                text = shortened(repr(inner["expr_str"]), 60)
                raise self._refuse(
                    f"a size is given as {text}, which is no plain arithmetic: {error}"
                ) from None
            return {kind: {"expr_str": written, "hint": hint and self._plain(hint)}}
        return self._plain(value)

    def _plain(self, value: Any) -> dict[str, Any]:
        kind, inner = self._union(value)
        plain = {"as_int": self._whole, "as_bool": self._bool, "as_float": self._number}
        if kind not in plain:
            raise self._refuse(f"a size is given as {shortened(kind, 40)}")
        return {kind: plain[kind](inner)}

    def meta(self, value: Any) -> dict[str, Any]:
        """Type and shape of a tensor; on the CPU whatever it says. Raises what ``refuse`` makes."""
        about = self._object(value)
        sizes, strides = about["sizes"], about["strides"]
        if len(self._list(sizes)) > 16 or len(self._list(strides)) != len(sizes):
            raise self._refuse("a tensor has too many axes, or not one stride for each")
        if about.get("layout", 7) != 7:
            raise self._refuse("it holds a tensor that is not dense")
        return {
            "dtype": self._whole(about["dtype"]),
            "sizes": [self._size(each) for each in sizes],
            "requires_grad": self._bool(about["requires_grad"]),
            "device": CPU,
            "strides": [self._size(each) for each in strides],
            "storage_offset": self._size(about["storage_offset"]),
            "layout": 7,
        }

    def _named(self, value: Any) -> dict[str, Any]:
        return {"name": self._name(self._object(value)["name"])}

    def _either(self, value: Any) -> dict[str, Any]:
        """A name of something computed, or a value."""
        kind, inner = self._union(value)
        return {kind: self._name(inner)} if kind == "as_name" else self._plain(value)

    def _maybe(self, value: Any) -> dict[str, Any]:
        kind, inner = self._union(value)
        return {"as_none": True} if kind == "as_none" else {"as_tensor": self._named(inner)}

    def _argument(self, value: Any, depth: int) -> dict[str, Any]:
        kind, inner = self._union(value)
        each: Callable[[Any], Any] | None = {
            "as_none": lambda _: True,
            "as_tensor": self._named,
            "as_int": self._whole,
            "as_float": self._number,
            "as_bool": self._bool,
            "as_string": self._string,
            "as_sym_int": self._either,
            "as_sym_float": self._either,
            "as_sym_bool": self._either,
            "as_optional_tensor": self._maybe,
            "as_scalar_type": self._whole,
            "as_memory_format": self._whole,
            "as_layout": self._whole,
            "as_device": lambda _: CPU,
            "as_graph": lambda graph: {
                "name": self._name(graph["name"]),
                "graph": self._graph(self._object(graph["graph"]), depth + 1),
            },
        }.get(kind)
        if each is not None:
            return {kind: each(inner)}
        item: Callable[[Any], Any] | None = {
            "as_tensors": self._named,
            "as_ints": self._whole,
            "as_floats": self._number,
            "as_bools": self._bool,
            "as_strings": self._string,
            "as_sym_ints": self._either,
            "as_sym_floats": self._either,
            "as_sym_bools": self._either,
            "as_optional_tensors": self._maybe,
        }.get(kind)
        if item is None:
            what = "an object of the author's own" if kind == "as_custom_obj" else kind
            raise self._refuse(f"it is given {shortened(what, 60)}")
        return {kind: [item(part) for part in self._list(inner)]}

    def _graph(self, raw: Mapping[str, Any], depth: int) -> dict[str, Any]:
        raise NotImplementedError
