"""``fluoroscope surrogate``: a decision tree that answers as a model does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from dashboard.commands import inputs, options
from dashboard.commands.calls import captured, with_bar
from dashboard.commands.calls import engine as started

if TYPE_CHECKING:
    from core.results import Measure, Surrogate


def surrogate(
    model: options.Model,
    data: options.Data = None,
    depth: Annotated[int, typer.Option(help="The most questions before an answer, 1 to 8.")] = 4,
    min_leaf: Annotated[int, typer.Option(help="The fewest examples behind an answer.")] = 5,
    on: Annotated[
        str,
        typer.Option(help="columns, words, regions or layer:NAME; left out: what fits the model."),
    ] = "",
    grid: Annotated[int, typer.Option(help="Rows and columns of regions in a picture.")] = 7,
    example: Annotated[
        str, typer.Option(help="A file or text whose way through the tree is told.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the figure, the rules and a file for scikit-learn."),
    ] = None,
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
    """Fit a decision tree to what a model answers, and tell how often it answers the same on
    examples that it was not fitted to.
    """
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.parameters import checked
    from core.paths import located
    from core.surrogate.declared import PARAMETERS, basis, check

    wanted = options.formats(formats)
    ref, about = reference(model), card(model)
    check(about.name, about.classes)
    given = {"depth": depth, "min_leaf": min_leaf, "grid": grid}
    asked: dict[str, Any] = checked(PARAMETERS, given, "surrogate")
    asked["on"] = basis(on, about.task.axis)
    one, notes = inputs.given(about, [example]) if example else ([], [])
    found = dataset(
        about, None if data is None else located(data), text=column, label=label, limit=limit
    )
    options.say([*found.notes, *notes])
    options.left_out(found.skipped)
    engine = started(options.known_device(device), workspace)
    asked["capture"] = captured(engine, ref, found, workspace, seed, device)
    call = Call("surrogate", ref, tuple(one), asked, seed, device)
    made: Surrogate = with_bar(engine, call, "Surrogate tree")
    options.say(made.notes)
    print(json.dumps(_document(made), indent=2) if as_json else _told(made))
    if out is not None:
        options.say(_write(inputs.folder(out), model, made, wanted, dark))


def _told(made: Surrogate) -> str:
    from core.surrogate.rules import rules, way

    lines = [rules(made), ""]
    if made.example:
        lines += [f"{made.example}: {way(made)}", ""]
    lines.append(f"Of {int(made.tested.sum()):,} held-out examples of {made.data}:")
    width = max(len(each.title) for each in made.measures)
    lines += [f"{each.title.ljust(width)}  {_interval(each)}" for each in made.measures]
    return "\n".join(lines)


def _interval(each: Measure) -> str:
    if not np.isfinite(each.low):
        return f"{each.value:.3f}"
    return f"{each.value:6.1%}   95 % interval {each.low:.1%} to {each.high:.1%}"


def _document(made: Surrogate) -> dict[str, Any]:
    from core.surrogate.rules import rules, way

    def node(place: int) -> dict[str, Any]:
        told: dict[str, Any] = {
            "answer": made.classes[int(made.answer[place])],
            "fitted": _counts(made, made.fitted[place]),
            "held_out": _counts(made, made.held_out[place]),
            "agreement": [_number(each) for each in made.agreement[place].tolist()],
        }
        if made.feature[place] < 0:
            return told
        yes, no = made.branches(place)
        asked = {
            "condition": made.condition(place),
            "feature": made.features[int(made.feature[place])],
            "threshold": float(made.threshold[place]),
        }
        return {**asked, **told, "yes": node(yes), "no": node(no)}

    found: dict[str, Any] = {
        "model": made.model,
        "data": made.data,
        "on": made.on,
        "measures": [
            {
                "measure": each.name,
                "value": _number(each.value),
                "low": _number(each.low),
                "high": _number(each.high),
            }
            for each in made.measures
        ],
        "tree": node(0),
        "rules": rules(made),
    }
    if made.example:
        found["example"] = {
            "name": made.example,
            "way": way(made),
            "tree": made.classes[int(made.answer[made.path[-1]])],
            "model": made.classes[made.said],
        }
    return {**found, "provenance": made.provenance.as_json()}


def _counts(made: Surrogate, counted: Any) -> dict[str, int]:
    return {name: int(count) for name, count in zip(made.classes, counted, strict=True) if count}


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _write(folder: Path, model: str, made: Surrogate, formats: list[str], dark: bool) -> list[str]:
    """Write the files, and name them."""
    from core.store import write_atomically
    from core.surrogate.rules import rules
    from dashboard.export import write
    from dashboard.figures.surrogate import surrogate_tree

    start = f"{Path(model.replace(':', '-')).name}.surrogate"
    figure = surrogate_tree(made, dark=dark)
    for kind in formats:
        write(folder / f"{start}.{kind}", figure, [made], kind)
    files = {"txt": f"{rules(made)}\n".encode(), "skops": made.file}
    for kind, content in files.items():
        if content:
            write_atomically(folder / f"{start}.{kind}", content, 0o666)
    kinds = [*formats, *(kind for kind, content in files.items() if content)]
    return [str(folder / f"{start}.{kind}") for kind in kinds]
