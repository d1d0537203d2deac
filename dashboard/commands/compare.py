"""``fluoroscope compare``: two models, two checkpoints, or a model and what was made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadInput, NotValid
from dashboard.commands import inputs, options
from dashboard.commands.calls import captured, with_bar
from dashboard.commands.calls import engine as started
from dashboard.commands.comparison import NAMED, examples, print_comparison, print_written

if TYPE_CHECKING:
    from core.engine.split import SplitExecutor
    from core.models.card import ModelCard
    from core.models.reference import ModelRef
    from core.results import (
        AttributionContrast,
        Comparison,
        CrossSimilarity,
    )
    from core.tasks import Example


def compare(
    first: options.Model,
    second: Annotated[
        str,
        typer.Argument(
            help="Another model; run:NAME@EPOCH for a checkpoint, compressed:NAME for what "
            "compression made.",
            callback=options.typed,
        ),
    ],
    data: options.Data = None,
    method: Annotated[
        str, typer.Option(help="How the example they disagree on most is explained.")
    ] = "input_x_gradient",
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
    """Compare two models over the same examples: agreement, metrics with paired intervals and
    McNemar's test, the examples they disagree on most, reasons and layers.
    """
    from core.comparison.fit import check
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.paths import located

    wanted = options.formats(formats)
    cards = card(first), card(second)
    check(*cards)
    refs = reference(first), reference(second)
    found = dataset(
        cards[0], None if data is None else located(data), text=column, label=label, limit=limit
    )
    options.say(found.notes)
    options.left_out(found.skipped)
    engine = started(options.known_device(device), workspace)
    folders = [captured(engine, ref, found, workspace, seed, device) for ref in refs]
    if not cards[0].classes:
        _written(engine, refs, folders, as_json, seed, device)
        if out is not None:
            options.say(["Nothing is written: there are no figures of two models that write."])
        return
    asked = {"capture": folders[0], "other": folders[1]}
    whole: Comparison = with_bar(
        engine, Call("compare", refs[0], (), asked, seed, device), "Answers"
    )
    layers: CrossSimilarity | None = None
    reasons: AttributionContrast | None = None
    try:
        layers = with_bar(
            engine, Call("compare_layers", refs[0], (), asked, seed, device), "Layers"
        )
    except BadInput as error:  # too few examples, or some that only one could read
        options.say([str(error)])
    row = int(whole.rows[0])
    try:
        reasons = _reasons(engine, refs, cards, found[row], method, whole, seed, device)
    except NotValid as error:
        options.say([str(error)])
    options.say(whole.notes)
    apart = examples(whole, [found.ids[int(each)] for each in whole.rows[:NAMED]])
    print_comparison(whole, apart, reasons, layers, as_json)
    if out is not None:
        titles = _titles(*cards)
        _write(
            inputs.folder(out),
            [first, second],
            titles,
            whole,
            layers,
            reasons,
            wanted,
            dark,
            as_json,
        )


def _titles(first: ModelCard, second: ModelCard) -> tuple[str, str]:
    return first.title, second.title


def _reasons(
    engine: SplitExecutor,
    refs: tuple[ModelRef, ModelRef],
    cards: tuple[ModelCard, ModelCard],
    example: Example,
    method: str,
    whole: Comparison,
    seed: int,
    device: str,
) -> AttributionContrast:
    from core.attribution.registry import method as declared
    from core.comparison.fit import common
    from core.comparison.reasons import contrasted
    from core.engine.call import Call

    each = declared(method, cards[0].task.axis)
    shared = common(cards[0].name, cards[0].classes, cards[1].name, cards[1].classes)
    said = whole.classes[int(whole.said[0, 0])]
    target = said if said in shared else next(iter(shared))
    found = []
    for place, ref in enumerate(refs):
        asked = {"method": each.name, "target": f"#{shared[target][place]}", "settings": {}}
        call = Call("attribute", ref, (example,), asked, seed, device)
        found.append(with_bar(engine, call, each.title)[0])
    return contrasted(*found)


def _written(
    engine: SplitExecutor,
    refs: tuple[ModelRef, ModelRef],
    folders: list[str],
    as_json: bool,
    seed: int,
    device: str,
) -> None:
    from core.comparison.written import contrasted
    from core.engine.call import Call

    both = [
        with_bar(
            engine,
            Call("evaluate_written", ref, (), {"capture": folder}, seed, device),
            ref.name,
        )
        for ref, folder in zip(refs, folders, strict=True)
    ]
    print_written(contrasted(*both), as_json)


def _write(
    folder: Path,
    names: list[str],
    titles: tuple[str, str],
    whole: Comparison,
    layers: CrossSimilarity | None,
    reasons: AttributionContrast | None,
    formats: list[str],
    dark: bool,
    as_json: bool,
) -> None:
    from dashboard.export import write
    from dashboard.figures import comparison as figures
    from dashboard.figures.contrast import reasons as drawn_reasons
    from dashboard.figures.probes import similarity_map

    drawn: dict[str, tuple[Any, Any]] = {
        "answers": (figures.answers(whole, titles, dark=dark), whole),
    }
    if layers is not None:
        figure = similarity_map(
            layers.similarity, layers.rows, layers.columns, titles=titles, dark=dark
        )
        drawn["layers"] = (figure, layers)
    if whole.measures:
        drawn["measures"] = (figures.measure_differences(whole, titles, dark=dark), whole)
        drawn["classes"] = (figures.class_differences(whole, titles, dark=dark), whole)
    if reasons is not None:
        figure = drawn_reasons(reasons, titles, dark=dark)
        drawn["reasons"] = (figure, reasons)
    stem = "-".join(Path(name.replace(":", "-")).name for name in names)
    for name, (figure, result) in drawn.items():
        for kind in formats:
            path = folder / f"{stem}.{name}.{kind}"
            write(path, figure, [result], kind)
            options.wrote(path, as_json)
