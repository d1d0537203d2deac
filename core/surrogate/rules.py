"""A surrogate tree in words. Imports no torch: pages and commands say it."""

from __future__ import annotations

from core.results.surrogate import Surrogate


def rules(found: Surrogate) -> str:
    """The whole tree as indented text, an answer with how often the model gives it too."""
    lines: list[str] = []

    def told(node: int, indent: str) -> None:
        if found.feature[node] < 0:
            lines.append(f"{indent}→ {leaf(found, node)}")
            return
        for holds, child in zip((True, False), found.branches(node), strict=True):
            lines.append(f"{indent}{found.condition(node, holds)}")
            told(child, indent + "    ")

    told(0, "")
    return "\n".join(lines)


def leaf(found: Surrogate, node: int) -> str:
    """``malignant · the model agrees on 58 of 60 held-out examples``."""
    said = found.classes[int(found.answer[node])]
    count = int(found.held_out[node].sum())
    if not count:
        return f"{said} · no held-out example came here"
    same = int(found.held_out[node, found.answer[node]])
    noun = f"held-out example{'s' * (count > 1)}"
    return f"{said} · the model agrees on {same} of {count} {noun}"


def way(found: Surrogate) -> str:
    """The path of the example in hand as a sentence; empty without one."""
    if not len(found.path):
        return ""
    *inner, end = (int(node) for node in found.path)
    steps = [
        found.condition(node, below == found.branches(node)[0])
        for node, below in zip(inner, [*inner[1:], end], strict=True)
    ]
    because = " and ".join(steps) if steps else "any example"
    return f"{because} → {leaf(found, end)}"
