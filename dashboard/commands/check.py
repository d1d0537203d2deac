"""``fluoroscope check``: look a model over before it is used."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import typer

from dashboard.commands import options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar
from dashboard.commands.workspace import sized

if TYPE_CHECKING:
    from core.results import CheckUp

_WIDTH = 96


def check(
    model: options.Model,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Look a model over: the same answer twice, alone and together, gradients, NaN, outputs,
    layers, attention, methods that fit, memory; and what to do about each finding. Exit status 2
    when a finding is bad.
    """
    from core.engine.call import Call
    from core.models.catalogue import reference

    engine = started(options.known_device(device), workspace)
    call = Call("check_up", reference(model), (), {}, seed, device)
    found: CheckUp = with_bar(engine, call, "Check-up")
    print(json.dumps(document(found), indent=2) if as_json else told(found))
    if found.level == "bad":
        raise typer.Exit(2)


def told(found: CheckUp) -> str:
    """The findings as lines, worst first, and what to do about each."""
    facts = [f"{found.parameters:,} parameters", f"{sized(found.device_bytes)} of weights"]
    facts += [f"{found.forward_seconds * 1000:.3g} ms for one forward"] * bool(found.outputs)
    lines = [f"{found.model}: {', '.join(facts)}", ""]
    title = max(len(each.title) for each in found.findings)
    for each in found.findings:
        start = f"{each.level:<8} {each.title:<{title}}  "
        for text in filter(None, (each.found, each.advice and f"→ {each.advice}")):
            indent = " " * len(start)
            lines.append(
                textwrap.fill(text, _WIDTH, initial_indent=start, subsequent_indent=indent)
            )
            start = indent
    return "\n".join(lines)


def document(found: CheckUp) -> dict[str, Any]:
    """The same with everything behind it, for ``json.dumps``."""
    return {
        "model": found.model,
        "level": found.level,
        "findings": [
            {
                "name": each.name,
                "level": each.level,
                "found": each.found,
                "advice": each.advice,
            }
            for each in found.findings
        ],
        "parameters": found.parameters,
        "disk_bytes": found.disk_bytes,
        "device_bytes": found.device_bytes,
        "pass_bytes": found.pass_bytes,
        "free_bytes": found.free_bytes,
        "forward_seconds": found.forward_seconds,
        "input_shape": list(found.input_shape),
        "outputs": found.outputs,
        "operators": dict(found.operators),
        "layers": list(found.layers),
        "left_out": dict(found.left_out),
        "methods": {
            name: {"fit": fit.level, "reason": fit.reason} for name, fit in found.fits.items()
        },
        "attention": [
            {"name": each.name, "role": each.role, "heads": each.heads} for each in found.attention
        ],
        "provenance": found.provenance.as_json(),
    }
