"""``fluoroscope evaluate``: how good a model is over a data set, and for whom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from dashboard.commands import inputs, options
from dashboard.commands.calls import captured, with_bar
from dashboard.commands.calls import engine as started
from dashboard.commands.table import show
from dashboard.commands.words import plain

if TYPE_CHECKING:
    from core.results import Evaluation, Groups, Measure, Written


def evaluate(
    model: options.Model,
    data: options.Data = None,
    by: Annotated[
        str, typer.Option(help="Also by the values of this column; class for the true class.")
    ] = "",
    positive: Annotated[str, typer.Option(help="The class that rates by group are about.")] = "",
    out: options.Out = None,
    limit: options.Limit = 0,
    column: options.Column = "",
    label: options.Label = "",
    formats: options.Formats = "png,json",
    dark: options.Dark = False,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Tell how good a model is: metrics with 95 % intervals by bootstrap, by class, and by group;
    of a model that writes its perplexity, BLEU and chrF.
    """
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.paths import located

    wanted = options.formats(formats)
    ref, about = reference(model), card(model)
    found = dataset(
        about, None if data is None else located(data), text=column, label=label, limit=limit
    )
    options.say(found.notes)
    options.left_out(found.skipped)
    engine = started(options.known_device(device), workspace)
    asked = {"capture": captured(engine, ref, found, workspace, seed, device)}
    if not about.classes:
        some: dict[str, Any] = asked | ({"limit": limit} if limit else {})
        call = Call("evaluate_written", ref, (), some, seed, device)
        written: Written = with_bar(engine, call, "Evaluation")
        options.say([f"Over {written.examples:,} texts of {written.data}."])
        if by:
            options.say([f"'{model}' has no classes, so there are no rates by '{by}'."])
        _print(written.measures, [], None, as_json)
        if out is not None:
            _draw(inputs.folder(out), model, _measures(written, dark), wanted, as_json)
        return
    whole: Evaluation = with_bar(
        engine, Call("evaluate", ref, (), asked, seed, device), "Evaluation"
    )
    groups: Groups | None = None
    if by:
        more = {"by": by, "positive": positive} if positive else {"by": by}
        groups = with_bar(
            engine, Call("evaluate_groups", ref, (), asked | more, seed, device), "Groups"
        )
    options.say(whole.notes)
    _print(whole.measures, _classes(whole), groups, as_json)
    if out is not None:
        _draw(inputs.folder(out), model, _drawn(whole, groups, dark), wanted, as_json)


def _print(
    measures: tuple[Measure, ...],
    classes: list[dict[str, Any]],
    groups: Groups | None,
    as_json: bool,
) -> None:
    numbers = [
        {
            "measure": each.name,
            "value": _rounded(each.value),
            "low": _rounded(each.low),
            "high": _rounded(each.high),
            "good": each.good,
        }
        for each in measures
    ]
    rows = [] if groups is None else _groups(groups)
    if as_json:
        found: dict[str, Any] = {"measures": numbers, "classes": classes}
        if groups is not None:
            gaps = {name: _rounded(gap) for name, gap in groups.gaps.items()}
            found |= {"groups": rows, "gaps": gaps, "positive": groups.positive}
        print(json.dumps(found, indent=2))
        return
    for table in (numbers, classes, rows):
        if table:
            show(table, False)
            print()
    if groups is not None:
        print(f"selected and positives are about the class {plain(groups.positive)}")


def _classes(found: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "class": name,
            "precision": _rounded(float(found.precision[place])),
            "recall": _rounded(float(found.recall[place])),
            "f1": _rounded(float(found.f1[place])),
            "examples": int(found.support[place]),
        }
        for place, name in enumerate(found.classes)
        if found.support[place]
    ]


def _groups(found: Groups) -> list[dict[str, Any]]:
    return [
        {
            found.column: each.name,
            "examples": each.examples,
            "right": _rounded(float(each.right[0])),
            "low": _rounded(float(each.right[1])),
            "high": _rounded(float(each.right[2])),
            "f1": _rounded(each.f1),
            "selected": _rounded(float(each.selected[0])),
            "true positives": _rounded(float(each.caught[0])),
            "false positives": _rounded(float(each.false_alarms[0])),
        }
        for each in found.groups
    ]


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _measures(found: Evaluation | Written, dark: bool) -> dict[str, tuple[Any, Any]]:
    from dashboard.figures.evaluation import measure_intervals

    return {"measures": (measure_intervals(found.measures, dark=dark), found)}


def _drawn(found: Evaluation, groups: Groups | None, dark: bool) -> dict[str, tuple[Any, Any]]:
    """Figures by name, each with the result that it shows."""
    from dashboard.figures import evaluation as figures
    from dashboard.figures.outcomes import confusion

    shown = figures.most_confused(found)
    table = found.confusion[np.ix_(shown, shown)].astype(np.float64)
    names = [found.classes[each] for each in shown]
    drawn: dict[str, tuple[Any, Any]] = {
        "confusion": (confusion(table, names, title="What is taken for what", dark=dark), found),
        **_measures(found, dark),
        "roc": (figures.class_curves(found, kind="roc", dark=dark), found),
        "precision-recall": (figures.class_curves(found, kind="pull", dark=dark), found),
        "calibration": (figures.reliability_diagram(found.reliability, dark=dark), found),
    }
    if groups is not None:
        for rate in figures.RATES:
            drawn[f"groups.{rate}"] = (figures.group_rates(groups, rate, dark=dark), groups)
    return drawn


def _draw(
    folder: Path,
    model: str,
    drawn: Mapping[str, tuple[Any, Any]],
    formats: list[str],
    as_json: bool,
) -> None:
    from dashboard.export import write

    stem = Path(model.replace(":", "-")).name
    for name, (figure, result) in drawn.items():
        for kind in formats:
            path = folder / f"{stem}.{name}.{kind}"
            write(path, figure, [result], kind)
            options.wrote(path, as_json)
