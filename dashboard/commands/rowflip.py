"""``fluoroscope flip`` for rows of tables: the smallest changes that change the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.commands import options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar

if TYPE_CHECKING:
    from core.models.reference import ModelRef
    from core.results import Counterfactual, RowChange
    from core.tasks import Example


def flip_rows(
    model: ModelRef,
    rows: Sequence[Example],
    to: str,
    keep: Sequence[str],
    data: Path | None,
    settings: dict[str, str],
    as_json: bool,
    seed: int,
    device: str,
    workspace: str | None,
) -> None:
    """Print for each row what would change its answer."""
    from core.counterfactual.find import PARAMETERS
    from core.engine.call import Call
    from core.parameters import checked
    from core.paths import located
    from dashboard.commands.table import show

    asked: dict[str, Any] = {**checked(PARAMETERS, settings, "flip"), "to": to, "keep": list(keep)}
    asked["path"] = "" if data is None else str(located(data))
    engine = started(options.known_device(device), workspace)
    found: list[Counterfactual] = [
        with_bar(engine, Call("counterfactual", model, (row,), asked, seed, device), row.name)
        for row in rows
    ]
    for each in found:
        options.say(each.notes, each.example)
    if as_json:
        show([_document(each) for each in found], as_json)
        return
    for each in found:
        print(_told(each))


def _told(each: Counterfactual) -> str:
    lines = [f"{each.example}: {_said(each, each.before.probabilities)}"]
    if each.reason:
        return "\n".join([*lines, each.reason, ""])
    for change in each.found:
        count = len(change.columns)
        noun = f"{count} column{'s' * (count > 1)}"
        lines.append(
            f"\n{_said(each, change.probabilities, change.answer)}   {noun}, "
            f"{change.distance:.2f} σ in all"
        )
        width = max(len(name) for name in change.columns)
        lines += [
            f"  {name.ljust(width)}  {was} → {now}{_step(step)}"
            for name, was, now, step in zip(
                change.columns, change.was, change.now, change.step.tolist(), strict=True
            )
        ]
    return "\n".join([*lines, ""])


def _said(each: Counterfactual, probabilities: Any, answer: int = -1) -> str:
    best = int(np.argmax(probabilities)) if answer < 0 else answer
    return f"{each.before.classes[best]} {probabilities[best]:.1%}"


def _step(step: float) -> str:
    return f"  ({step:+.2f} σ)" if np.isfinite(step) else ""


def _document(each: Counterfactual) -> dict[str, object]:
    return {
        "example": each.example,
        "before": each.before.classes[each.before.top(1)[0]],
        "kept": list(each.kept),
        "reason": each.reason or None,
        "tried": each.tried,
        "changes": [_change(each, change) for change in each.found],
        "provenance": each.provenance.as_json(),
    }


def _change(each: Counterfactual, change: RowChange) -> dict[str, object]:
    steps = [round(step, 4) if np.isfinite(step) else None for step in change.step.tolist()]
    columns = zip(change.columns, change.was, change.now, steps, strict=True)
    return {
        "after": each.before.classes[change.answer],
        "probability": round(float(change.probabilities[change.answer]), 6),
        "distance": round(change.distance, 4),
        "columns": [
            {"column": name, "was": was, "now": now, "step": step}
            for name, was, now, step in columns
        ],
        "row": json.loads(change.row),
    }
