"""How inputs and outputs of a program are nested: tuples, lists and dictionaries, nothing else.

torch rebuilds these from a text and, for some kinds, imports modules that the text names. What
other libraries register (the outputs of transformers) becomes a plain dictionary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from core.errors import BadModel, shortened

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_DEEPEST = 8
_MOST = 1000


def tree(text: Any, refuse: Callable[[str], BadModel]) -> str:
    """The same nesting, written anew. Raises what ``refuse`` makes for anything else."""
    try:
        protocol, root = json.loads(text)
        if protocol != 1:
            raise ValueError(f"protocol {protocol!r}")
        return json.dumps([1, _node(root, 0)])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise refuse(f"its inputs or outputs are nested in a way not read here ({error})") from None


def _node(node: Any, depth: int) -> dict[str, Any]:
    kind, context, parts = node["type"], node["context"], node["children_spec"]
    if depth > _DEEPEST or not isinstance(parts, list) or len(parts) > _MOST:
        raise ValueError("too deep or too wide")
    if kind is None:
        if context is not None or parts:
            raise ValueError("a leaf with parts")
        return {"type": None, "context": None, "children_spec": []}
    children = [_node(each, depth + 1) for each in parts]
    if kind in ("builtins.tuple", "builtins.list"):
        return {"type": kind, "context": "null", "children_spec": children}
    fields = json.loads(context) if isinstance(context, str) else context
    if isinstance(fields, dict):  # a named tuple
        fields = fields.get("field_names")
    if isinstance(fields, list) and len(fields) == len(children) and all(map(_is_field, fields)):
        return {"type": "builtins.dict", "context": json.dumps(fields), "children_spec": children}
    if kind == "collections.namedtuple":
        return {"type": "builtins.tuple", "context": "null", "children_spec": children}
    raise ValueError(shortened(repr(kind), 60))


def _is_field(name: Any) -> bool:
    return isinstance(name, str) and _FIELD.fullmatch(name) is not None
