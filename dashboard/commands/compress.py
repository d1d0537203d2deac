"""``fluoroscope compress``: make a model smaller, and say what that saves and changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from core.errors import NotValid
from dashboard.commands import options, sweeping
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.results import Costs, Drift


def compress(
    model: options.Model,
    method: Annotated[
        list[str],
        typer.Option(
            help="int8, int8_static, int8_weights, bf16, prune, channels, heads or lowrank; may be "
            "repeated, one after the other."
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting as name=value, of the last method that has it."),
    ] = None,
    out: Annotated[
        str, typer.Option(help="Name of the model that is made; after what was done, if left out.")
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data to compare on, and to measure inputs on for int8_static; left out: those "
            "that ship with the model."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many examples.", min=2)] = 500,
    sweep: Annotated[
        str,
        typer.Option(
            help="Many values of one setting, as amount=0.1:0.9:9 (from, to, how many) or "
            "rank=4,8,16; nothing is written but the figure."
        ),
    ] = "",
    figure: Annotated[
        Path | None, typer.Option(help="File for the figure of a sweep: png, svg, pdf or html.")
    ] = None,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Quantise, prune or factorise a model; tell size, speed, accuracy and what happens to the
    reasons, beside the original. The model that is made is asked for as compressed:NAME. With
    --sweep, tell the same of many values of one setting, and from which on the reasons are others
    though the accuracy is the same.
    """
    from core.compression.methods import settled
    from core.compression.source import named
    from core.engine.call import Call
    from core.models.catalogue import reference
    from core.paths import located
    from core.workspace import workspace as place_at

    asked: dict[str, Any]
    steps = settled(_steps(method, set_ or []))
    if sweep:
        asked = {"steps": list(steps), "limit": limit, **sweeping.values_of(sweep)}
        asked |= {"path": str(located(data))} if data is not None else {}
        call = Call("compression_sweep", reference(model), (), asked, seed, device)
        engine = started(options.known_device(device), workspace)
        sweeping.show_sweep(with_bar(engine, call, "Compressing"), figure, as_json)
        return
    name = _name(model, steps, out)
    ref = reference(model)
    name, folder = named(place_at(workspace), ref, name)
    engine = started(options.known_device(device), workspace)
    asked = {"steps": list(steps), "out": str(folder)}
    asked |= {"path": str(located(data))} if data is not None else {}
    call = Call("compress", ref, (), asked, seed, device)
    with_bar(engine, call, "Compressing")
    ref = reference(name)
    costs: Costs = with_bar(engine, Call("compression_costs", ref, (), {}, seed, device), "Timing")
    asked = {"limit": limit}
    if data is not None:
        asked["path"] = str(located(data))
    drift: Drift | None = None
    try:
        call = Call("compression_drift", ref, (), asked, seed, device)
        drift = with_bar(engine, call, "Answers and reasons")
    except NotValid as error:
        options.say([str(error)])
    rows = _rows(costs, drift)
    if as_json:
        told = [{"what": row.pop(""), **row} for row in rows]
        about = {"model": name, "steps": steps, "notes": costs.notes, "rows": told}
        print(json.dumps(about, indent=2))
        return
    show(rows, False)
    if drift is not None:
        reasons = f"reasons by {drift.method} of {len(drift.kept):,} whose answer stayed"
        print(f"over {drift.examples:,} examples of {drift.data}; {drift.note or reasons}")
    for note in costs.notes:
        print(note)
    print(name)


def _steps(methods: list[str], settings: list[str]) -> list[dict[str, Any]]:
    from core.compression.methods import method
    from core.errors import BadParameter

    steps: list[dict[str, Any]] = [{"method": each} for each in methods]
    for text in settings:
        name, sign, value = text.partition("=")
        takes = [
            step
            for step in steps
            if name in {each.name for each in method(step["method"]).parameters}
        ]
        if not sign or not takes:
            known = sorted(
                {each.name for step in steps for each in method(step["method"]).parameters}
            )
            raise BadParameter(
                f"'{text}' is no setting of {' or '.join(methods)}.",
                f"Known: {', '.join(known) or 'none'}, as name=value.",
            )
        takes[-1][name] = value
    return steps


def _name(model: str, steps: tuple[dict[str, Any], ...], out: str) -> str:
    from core.errors import BadParameter

    if out:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", out):
            raise BadParameter(
                f"'{out[:80]}' cannot be the name of a model.",
                "Use letters, digits, points, dashes and underscores.",
            )
        return out
    parts = [Path(model.rpartition(":")[2]).name]
    for step in steps:
        parts += [str(value) for value in step.values()]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))[:80]


def _rows(costs: Costs, drift: Drift | None) -> list[dict[str, Any]]:
    one, two = costs.original, costs.small

    def row(what: str, before: Any, after: Any, change: str = "") -> dict[str, Any]:
        return {"": what, "original": before, "compressed": after, "change": change}

    rows = [
        row("bytes on disk", one.bytes, two.bytes, _times(two.bytes, one.bytes)),
        row("weights", one.parameters, two.parameters, _times(two.parameters, one.parameters)),
        row("not zero", one.nonzero, two.nonzero, _times(two.nonzero, one.nonzero)),
        row(
            "multiply-adds",
            one.multiply_adds,
            two.multiply_adds,
            _times(two.multiply_adds, one.multiply_adds),
        ),
        row("latency, ms", _ms(one.median), _ms(two.median), f"{costs.speedup:.2f} × as fast"),
        row("latency of 95 %, ms", _ms(one.p95), _ms(two.p95)),
        *(
            row(
                f"latency of {one.batch} at once, {title}, ms",
                *(_ms(float(np.percentile(each.batched, share))) for each in (one, two)),
            )
            for title, share in (("median", 50), ("95 %", 95))
        ),
        row(
            "examples a second",
            round(one.throughput),
            round(two.throughput),
            _times(two.throughput, one.throughput),
        ),
    ]
    if drift is None:
        return rows
    if np.isfinite(drift.accuracy[0]):
        rows += [
            row(
                "accuracy",
                round(float(drift.accuracy[0]), 4),
                round(float(drift.accuracy[1]), 4),
                f"{100 * float(drift.accuracy[1] - drift.accuracy[0]):+.1f} points",
            ),
            row(
                "F1, mean of classes", *(round(float(each), 4) for each in np.nanmean(drift.f1, 0))
            ),
            row("calibration error", *(round(float(each), 4) for each in drift.ece)),
        ]
    rows.append(row("another answer", None, len(drift.changed), f"{1 - drift.agreement:.1%}"))
    if len(drift.spearman):
        rows += [
            row("reasons, rank correlation", 1.0, round(float(np.median(drift.spearman)), 4)),
            row("reasons, lowest", 1.0, round(float(drift.spearman.min()), 4)),
            row("same strongest inputs", 1.0, round(float(np.median(drift.overlap)), 4)),
        ]
    if len(drift.layers):
        least = int(np.nanargmin(drift.similarity))
        value = round(float(drift.similarity[least]), 4)
        rows.append(row("least alike layer, CKA", 1.0, value, drift.layers[least]))
    return rows


def _times(after: float, before: float) -> str:
    return f"{after / before:.2f} ×" if before else ""


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 3)
