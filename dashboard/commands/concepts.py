"""``fluoroscope concepts`` and ``fluoroscope influence``: what a class leans on, and which training
examples an answer comes from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadParameter
from dashboard.commands import inputs, options
from dashboard.commands.calls import captured, with_bar
from dashboard.commands.calls import engine as started
from dashboard.commands.table import show
from dashboard.wording import words

if TYPE_CHECKING:
    from core.results import ConceptScores, Influence

_Data = Annotated[
    Path | None,
    typer.Option(help="Data to draw from; left out: those that ship with the model."),
]


def concepts(
    model: options.Model,
    concept: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=PATH: a folder or zip of pictures, a file with one text per line, or a "
            "table. May be repeated; left out: concepts made of the data."
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="The class; left out: the first.")] = "",
    layer: Annotated[
        list[str] | None,
        typer.Option(help="A layer; may be repeated. Left out: four through the network."),
    ] = None,
    data: _Data = None,
    settings: options.Settings = None,
    out: options.Out = None,
    formats: options.Formats = "png,json",
    dark: options.Dark = False,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Tell how far a class leans on concepts (TCAV), against as many examples drawn at random: of a
    concept that cannot be told from these there is no score.
    """
    from core.concepts.offered import offered
    from core.concepts.own import of_path
    from core.concepts.sets import request
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.paths import located

    wanted = options.formats(formats)
    ref, about = reference(model), card(model)
    found = dataset(about, None if data is None else located(data))
    options.say(found.notes)
    options.left_out(found.skipped)
    given = [_named(each) for each in concept or ()]
    sets = [of_path(name, path, about) for name, path in given] or list(offered(about, found))
    given_settings = dict(options.setting(each) for each in settings or ())
    asked = target or (about.classes[0] if about.classes else "")
    examples, parameters = request(found, asked, sets, layer or (), **given_settings)
    engine = started(options.known_device(device), workspace)
    call = Call("concept_scores", ref, examples, parameters, seed, device)
    scores: ConceptScores = with_bar(engine, call, "Concepts")
    options.say(scores.notes)
    rows = _scores(scores)
    if as_json:
        print(json.dumps({"target": scores.target.label, "concepts": rows}, indent=2))
    else:
        show(rows, False)
    if out is not None:
        from dashboard.figures.concepts import concept_bars

        _write(
            inputs.folder(out),
            f"{model}.concepts",
            concept_bars(scores, dark=dark),
            scores,
            wanted,
            as_json,
        )


def influence(
    model: options.Model,
    example: Annotated[
        str, typer.Argument(help="A file or a text; left out: --row, or --how self.")
    ] = "",
    how: Annotated[
        str,
        typer.Option(
            help="tracin: over the checkpoints of the model's run; similar: alike in a layer; "
            "self: training examples that were the hardest to learn."
        ),
    ] = "tracin",
    row: Annotated[
        int, typer.Option(help="The example in this row, from 1, of the data.", min=0)
    ] = 0,
    target: Annotated[str, typer.Option(help="The class; left out: the model's answer.")] = "top",
    layer: Annotated[str, typer.Option(help="For similar: a layer; left out: the last.")] = "",
    data: _Data = None,
    settings: options.Settings = None,
    out: options.Out = None,
    formats: options.Formats = "png,json",
    dark: options.Dark = False,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Tell which training examples moved an answer (TracIn), which examples are like it, or which
    were the hardest to learn.
    """
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.paths import located

    wanted = options.formats(formats)
    ref, about = reference(model), card(model)
    held_out = None
    if how == "similar" or row:
        held_out = dataset(about, None if data is None else located(data))
    parameters: dict[str, Any] = {"how": how, "target": target}
    parameters |= dict(options.setting(each) for each in settings or ())
    asked = []
    if example:
        asked, notes = inputs.given(about, [example])
        options.say(notes)
    elif row and held_out is not None:
        if row > len(held_out):
            raise BadParameter(
                f"--row is {row}, '{held_out.name}' has {len(held_out):,}.", "Choose another."
            )
        asked = [held_out[row - 1]]
    engine = started(options.known_device(device), workspace)
    if how == "similar" and held_out is not None:
        parameters["capture"] = captured(engine, ref, held_out, workspace, seed, device)
        parameters |= {"layer": layer} if layer else {}
    call = Call("influence", ref, tuple(asked), parameters, seed, device)
    found: Influence = with_bar(engine, call, "Training examples")
    options.say(found.notes)
    rows = _examples(found)
    if as_json:
        about_it = {"how": found.how, "target": found.target.label if found.target else None}
        print(
            json.dumps({**about_it, "checkpoints": list(found.steps), "examples": rows}, indent=2)
        )
    else:
        show(rows, False)
    if out is not None:
        from dashboard.figures.influence import influence_by_class

        figure = influence_by_class(found, dark=dark)
        _write(inputs.folder(out), f"{model}.influence", figure, found, wanted, as_json)


def _named(text: str) -> tuple[str, Path]:
    """``NAME=PATH``. Raises ``BadParameter``."""
    name, sign, path = text.partition("=")
    if not sign or not name.strip() or not path.strip():
        raise BadParameter(
            f"'--concept {text}' is no concept.", "Write it as --concept stripes=folder."
        )
    return name.strip(), Path(path.strip())


def _scores(found: ConceptScores) -> list[dict[str, Any]]:
    return [
        {
            "concept": name,
            "layer": layer,
            "tcav": round(float(found.scores[row, at].mean()), 4) if found.told[row, at] else None,
            "sensitivity": round(float(found.sensitivity[row, at].mean()), 4),
            "p": float(f"{found.p[row, at]:.3g}"),
            "told_apart": round(float(found.accuracy[row, at]), 4),
            "examples": found.sizes[row],
        }
        for row, name in enumerate(found.concepts)
        for at, layer in enumerate(found.layers)
    ]


def _examples(found: Influence) -> list[dict[str, Any]]:
    classes = [*found.classes, ""]
    rows = []
    for place, each in zip((*found.most, *found.least), found.shown, strict=True):
        shown = {} if found.axis == "pixels" else {"what": words(each.data, found.axis, 60)}
        rows.append(
            {
                "example": int(found.rows[place]) + 1,
                "score": float(f"{found.scores[place]:.4g}"),
                "class": classes[int(found.labels[place])],
                "answer": classes[int(found.answers[place])],
                **shown,
            }
        )
    return rows


def _write(
    folder: Path, stem: str, figure: Any, found: Any, formats: list[str], as_json: bool
) -> None:
    from dashboard.export import write

    name = Path(stem.replace(":", "-")).name
    for kind in formats:
        path = folder / f"{name}.{kind}"
        write(path, figure, [found], kind)
        options.wrote(path, as_json)
