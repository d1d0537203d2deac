"""``fluoroscope importance``: what a model goes by over a data set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from core.errors import BadParameter, UnknownName
from dashboard.commands import inputs, options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.results import Dependence, Importance, Interaction

_SHOWN = 20  # features in the table; --json has all


def importance(
    model: options.Model,
    data: options.Data = None,
    method: Annotated[
        str,
        typer.Option(
            help="permutation, ablation, shapley, attribution, or the name of an attribution "
            "method."
        ),
    ] = "permutation",
    target: Annotated[
        str,
        typer.Option(
            help="What is explained: a class, two with 'vs' between them, or top for each "
            "example's own answer."
        ),
    ] = "",
    group: Annotated[
        list[str] | None,
        typer.Option(help="Columns taken together, NAME=column,column; may be repeated."),
    ] = None,
    correlated: Annotated[
        bool, typer.Option(help="Take columns together that move together.")
    ] = False,
    of: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead: how the answer moves with this column; twice: with two together."
        ),
    ] = None,
    settings: options.Settings = None,
    out: options.Out = None,
    limit: Annotated[
        int, typer.Option(help="At most so many examples, evenly spread; 0: as is usual.", min=0)
    ] = 0,
    column: options.Column = "",
    label: options.Label = "",
    formats: options.Formats = "png,json",
    dark: options.Dark = False,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Tell what a model goes by over a data set: by column, word or region of pictures, with 95 %
    intervals over the examples and the range over seeds.
    """
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.paths import located

    wanted = options.formats(formats)
    ref, about = reference(model), card(model)
    found = dataset(about, None if data is None else located(data), text=column, label=label)
    options.say(found.notes)
    options.left_out(found.skipped)
    engine = started(options.known_device(device), workspace)
    asked: dict[str, Any] = {"data": asdict(found.ref)}
    if target:
        asked["target"] = target
    if of:
        asked |= {"limit": limit} if limit else {}
        result = _dependence(engine, ref, of, asked, seed, device)
        _print_dependence(result, as_json)
        _write(out, model, result, wanted, dark, as_json)
        return
    given = dict(options.setting(each) for each in settings or [])
    asked |= _way(method, about.task.axis, given, limit) | _groups(group or [], correlated)
    call = Call("importance", ref, (), asked, seed, device)
    whole: Importance = with_bar(engine, call, "Importance")
    options.say(whole.notes)
    _print(whole, as_json)
    _write(out, model, whole, wanted, dark, as_json)


def _way(method: str, axis: Any, given: dict[str, str], limit: int) -> dict[str, Any]:
    """The way that a method's name stands for, with its settings.

    Raises ``UnknownName`` and ``BadParameter``.
    """
    from core.attribution.registry import method as declared
    from core.attribution.registry import methods
    from core.importance.ways import WAYS, settled, way

    names = [each.name for each in WAYS]
    more: dict[str, Any] = {}
    if method not in names:
        try:
            more["attribution"] = declared(method, axis).name
        except UnknownName:
            known = (*names, *(each.name for each in methods(axis)))
            raise UnknownName.of("way to importance", method, known) from None
        method = "attribution"
    chosen = way(method, axis)
    checked = settled(chosen, given | ({"limit": limit} if limit else {}))
    return {"way": chosen.name, "settings": checked} | more


def _groups(given: list[str], correlated: bool) -> dict[str, Any]:
    if correlated and given:
        raise BadParameter("--group and --correlated are both given.", "Give one of them.")
    if correlated:
        from core.importance.ways import CORRELATED

        return {"groups": CORRELATED}
    groups: dict[str, list[str]] = {}
    for text in given:
        name, sign, columns = text.partition("=")
        if not sign or not name.strip():
            raise BadParameter(
                f"'--group {text[:80]}' is no group.", "Write it as --group size=radius,area."
            )
        if name.strip() in groups:
            raise BadParameter(f"The group '{name.strip()}' is given twice.", "Name one otherwise.")
        groups[name.strip()] = [each.strip() for each in columns.split(",") if each.strip()]
    return {"groups": groups} if groups else {}


def _dependence(
    engine: Any, ref: Any, of: list[str], asked: dict[str, Any], seed: int, device: str
) -> Any:
    from core.engine.call import Call

    if len(of) > 2:
        raise BadParameter(f"--of is given {len(of)} times.", "Give one column, or two.")
    if len(of) == 2:
        call = Call("interaction", ref, (), asked | {"columns": of}, seed, device)
        return with_bar(engine, call, "Interaction")
    call = Call("partial_dependence", ref, (), asked | {"column": of[0]}, seed, device)
    return with_bar(engine, call, "Partial dependence")


def _print(found: Importance, as_json: bool) -> None:
    lows = found.values - found.error
    lows = np.maximum(lows, 0) if found.signed else lows  # sizes are never below 0
    rows = [
        {
            "feature": found.features[place],
            "importance": round(float(found.values[place]), 6),
            "low": _rounded(float(lows[place])),
            "high": _rounded(float(found.values[place] + found.error[place])),
            "lowest seed": round(float(found.seeds[:, place].min()), 6),
            "highest seed": round(float(found.seeds[:, place].max()), 6),
            "examples": int(found.counts[place]),
        }
        for place in found.order
    ]
    if as_json:
        table = found.by_class()
        by_class = {
            found.classes[at]: {
                found.features[place]: round(float(table[at, place]), 6) for place in found.order
            }
            for at in range(len(found.classes))
            if np.isfinite(table[at]).any()
        }
        document = {
            "method": found.title,
            "unit": found.unit,
            "target": found.target,
            "examples": len(found.rows),
            "seeds": len(found.seeds),
            "before": round(found.base, 6),
            "features": rows,
            f"by {found.grouped_by}": by_class,
            "groups": {
                name: list(members)
                for name, members in zip(found.features, found.members, strict=True)
                if len(members) > 1
            },
        }
        print(json.dumps(document, indent=2))
        return
    towards = f" towards {found.target}" if found.target else ""
    print(f"{found.title}{towards}, {found.unit}, over {len(found.rows):,} examples")
    show(rows[:_SHOWN], False)
    if len(rows) > _SHOWN:
        print(f"and {len(rows) - _SHOWN} more; --json has all")


def _print_dependence(found: Dependence | Interaction, as_json: bool) -> None:
    from core.results import Interaction

    if isinstance(found, Interaction):
        number = {
            "columns": list(found.columns),
            "target": found.target,
            "h": round(found.strength, 4),
            "low": round(found.low, 4),
            "high": round(found.high, 4),
        }
        if as_json:
            print(json.dumps(number, indent=2))
        else:
            show([number | {"columns": " and ".join(found.columns)}], False)
        return
    kinds = found.categories
    rows = [
        {
            found.column: kinds[int(value)] if kinds else round(float(value), 6),
            found.unit: round(float(mean), 6),
            "low": round(float(mean - error), 6),
            "high": round(float(mean + error), 6),
        }
        for value, mean, error in zip(found.grid, found.mean, found.error, strict=True)
    ]
    if as_json:
        print(
            json.dumps({"column": found.column, "target": found.target, "points": rows}, indent=2)
        )
        return
    print(f"{found.target} over {found.column}, mean over {len(found.curves):,} rows")
    show(rows, False)


def _rounded(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def _write(
    out: Path | None, model: str, found: Any, wanted: list[str], dark: bool, as_json: bool
) -> None:
    if out is None:
        return
    from dashboard.export import write

    folder = inputs.folder(out)
    stem = Path(model.replace(":", "-")).name
    for name, figure in _figures(found, dark).items():
        for kind in wanted:
            path = folder / f"{stem}.{name}.{kind}"
            write(path, figure, [found], kind)
            options.wrote(path, as_json)


def _figures(found: Any, dark: bool) -> dict[str, Any]:
    from core.results import Dependence, Interaction
    from dashboard.figures import dependence, importance, importancemaps

    if isinstance(found, Dependence):
        return {
            "dependence": dependence.dependence_lines(found, dark=dark),
            "dependence-centred": dependence.dependence_lines(found, centred=True, dark=dark),
        }
    if isinstance(found, Interaction):
        return {
            "interaction": dependence.interaction_map(found, dark=dark),
            "interaction-beyond-the-sum": dependence.interaction_map(found, excess=True, dark=dark),
        }
    drawn = {
        f"importance.{found.way}": importance.importance_bars(found, dark=dark),
        f"importance.{found.way}.by-class": importance.class_heat(found, dark=dark),
        f"importance.{found.way}.examples": importance.beeswarm(found, dark=dark),
    }
    if found.grid != (0, 0):
        drawn[f"importance.{found.way}.regions"] = importancemaps.region_map(found, dark=dark)
        drawn[f"importance.{found.way}.maps"] = importancemaps.class_maps(found, dark=dark)
    return drawn
