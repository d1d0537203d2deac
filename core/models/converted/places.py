"""Where the nodes of a graph stood in the network that it was exported from.

PyTorch's exporter notes the layers around each node, its older one calls nodes after them; other
tools note nothing, and their layers are called after their nodes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from torch import nn

from core.models.converted.graph import Node

Place = tuple[tuple[str, str], ...]
"""The layers around a node from the outermost, path and kind of each."""

_PATH: Final = re.compile(r"[A-Za-z0-9_]{1,80}(\.[A-Za-z0-9_]{1,80}){0,30}", re.ASCII)
_QUOTED: Final = re.compile(r"'([^']*)'")
_KIND: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}", re.ASCII)
_DEEPEST: Final = 40
_OURS: Final = frozenset(dir(nn.Module()))
UNKNOWN_KIND: Final = "Part"


def places(nodes: Sequence[Node], producer: str) -> tuple[list[Place], str]:
    """One for each node, and the kind of the whole. What lies apart in the order of the nodes is
    no layer that can be run on its own, and so none here.
    """
    read = [_read(node, producer) for node in nodes]
    kind = next((found[0] for found in read if found and found[0]), "") or "Graph"
    return _together(_filled([None if each is None else each[1] for each in read])), kind


def _read(node: Node, producer: str) -> tuple[str, Place] | None:
    """The kind of the network and the place of a node, None where nothing is noted."""
    names, kinds = (_QUOTED.findall(node.notes.get(key, "")) for key in _NOTES)
    if names and len(names) == len(kinds):
        if names[0] != "":
            return None
        return _kind(kinds[0]), _nested(
            list(zip(names[1:-1], map(_kind, kinds[1:-1]), strict=True))
        )
    if producer == "pytorch" and node.name.startswith("/"):
        path: list[str] = []
        found = []
        last = ""
        for part in node.name.split("/")[1:-1]:
            if last and part.startswith(f"{last}."):
                path.pop()
            path.append(part)
            last = part
            found.append((".".join(path), UNKNOWN_KIND))
        return "", _nested(found)
    return ("", ()) if producer != "pytorch" else None


_NOTES: Final = ("name_scopes", "class_hierarchy")


def _nested(found: Sequence[tuple[str, str]]) -> Place:
    """Those whose paths may be names of layers, each within the one before."""
    kept: list[tuple[str, str]] = []
    for path, kind in found[:_DEEPEST]:
        inside = not kept or path.startswith(f"{kept[-1][0]}.")
        if _PATH.fullmatch(path) and inside:
            kept.append((_free(path), kind))
    return tuple(kept)


def _free(path: str) -> str:
    """A path that hides nothing of a module's own."""
    return ".".join(f"{each}_" if each in _OURS else each for each in path.split("."))


def named(text: str, usual: str) -> str:
    """The name of a layer after that of a node."""
    found = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:80]
    return _free(found or usual)


def _kind(text: str) -> str:
    last = text.rpartition(".")[2]
    return last if _KIND.fullmatch(last) else UNKNOWN_KIND


def _filled(found: Sequence[Place | None]) -> list[Place]:
    """A node of which nothing is known lies where both of its neighbours do."""
    ahead: list[Place] = []
    following: Place = ()
    for each in reversed(found):
        following = following if each is None else each
        ahead.append(following)
    made = []
    before: Place = ()
    for each, after in zip(found, reversed(ahead), strict=True):
        if each is None:
            shared = [one for one, other in zip(before, after, strict=False) if one == other]
            each = tuple(shared)
        made.append(each)
        before = each
    return made


def _together(found: list[Place]) -> list[Place]:
    """Without layers whose nodes do not follow each other; a single node that is called again is
    another call of the same layer, ``relu@1``.
    """
    spans: dict[str, list[int]] = {}
    for number, place in enumerate(found):
        for path, _ in place:
            spans.setdefault(path, []).append(number)
    apart = {path for path, at in spans.items() if at[-1] - at[0] + 1 != len(at)}
    again: dict[tuple[str, int], str] = {}
    for path in apart:
        at = spans[path]
        lone = all(b - a > 1 for a, b in pairwise(at))
        if lone and all(found[number][-1][0] == path for number in at):
            again |= {
                (path, number): f"{path}@{call}" if call else path for call, number in enumerate(at)
            }
    return [
        tuple(
            (again.get((path, number), path), kind)
            for path, kind in place
            if path not in apart or (path, number) in again
        )
        for number, place in enumerate(found)
    ]
