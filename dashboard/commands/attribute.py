"""``fluoroscope attribute``: explain images and texts from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadParameter, UnknownName
from dashboard.commands import inputs, options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from core.attribution.method import AttributionMethod
    from core.models.card import ModelCard
    from core.parameters import Value
    from core.results import Attribution, Prediction

_MOST_BARS = 6  # more outputs of a text are drawn as a matrix


def attribute(
    model: options.Model,
    method: Annotated[list[str], typer.Option(help="Name of a method; may be repeated.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Images; or texts, one a file or one a table row.")
    ] = None,
    text: options.Texts = None,
    file: options.Files = None,
    output: options.Outputs = None,
    out: options.Out = None,
    target: Annotated[
        str, typer.Option(help="A class name or index, top, top3, each, or 'cat vs dog'.")
    ] = "top",
    settings: options.Settings = None,
    formats: Annotated[
        str, typer.Option("--format", help="Any of png,svg,pdf,html,json,npz; tex for texts.")
    ] = "png,json",
    level: Annotated[str, typer.Option(help="Texts: token, word or sentence.")] = "word",
    special: Annotated[bool, typer.Option(help="Texts: show special tokens one by one.")] = False,
    cut: options.Cut = "end",
    column: options.Column = "",
    baseline_image: Annotated[
        Path | None, typer.Option(help="Image file for baseline=image.")
    ] = None,
    dark: options.Dark = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Explain images or texts: write ``<name>.<method>.<format>`` for each.

    Texts are also shown as a table of words with their values; without --out only that.
    """
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.store import write_atomically

    about = card(model)
    wanted = options.formats(formats, () if about.task.axis == "pixels" else ("tex",))
    methods = _methods(method, about)
    given = dict(options.setting(each) for each in settings or ())
    if baseline_image:
        given = _with_baseline_image(methods, given)
    per_method = _settings(methods, given)
    _check_level(level)
    ref = reference(model)
    examples, notes = inputs.examples(
        about, [*(files or ()), *(file or ())], text or (), output or (), cut, column
    )
    other = inputs.file(baseline_image) if baseline_image else None
    if out is None and about.task.axis == "pixels":
        raise BadParameter("--out is missing.", "Name the folder to write to.")
    out_folder = None if out is None else inputs.folder(out)
    options.say(notes)
    if len(output or ()) == 2 and target == "top":
        target = _contrast()

    engine = started(device, workspace)
    for example, stem in zip(examples, inputs.names(examples), strict=True):
        call = Call("predict", ref, (example,), {}, seed, device)
        prediction: Prediction = engine.submit(call).result()[0]
        options.say(prediction.notes, example.name)
        for each in methods:
            call = Call(
                "attribute",
                ref,
                (example,) if other is None else (example, other),
                {
                    "method": each.name,
                    "target": target,
                    "settings": per_method[each.name],
                    **({"baseline_example": 1} if other is not None else {}),
                },
                seed,
                device,
            )
            results: tuple[Attribution, ...] = with_bar(
                engine, call, f"{example.name}  {each.title}"
            )
            if about.task.axis == "tokens":
                _show(prediction, results, each, level, special, each is methods[0])
            if out_folder is not None:
                for name, content in _files(
                    results, prediction, each, wanted, level, special, dark
                ):
                    place = out_folder / f"{stem}.{each.name}.{name}"
                    write_atomically(place, content, 0o666)
                    print(place)


def _files(
    results: Sequence[Attribution],
    prediction: Prediction,
    method: AttributionMethod,
    formats: Sequence[str],
    level: str,
    special: bool,
    dark: bool,
) -> Iterator[tuple[str, bytes]]:
    """Formats and what is in their files; a text is a coloured text where the format has text."""
    from dashboard import textexport
    from dashboard.export import document, export

    about = document(results, prediction)
    figure = _figure(results, method, level, special, dark)
    for name in formats:
        if results[0].axis.kind == "tokens" and name in textexport.FORMATS:
            yield name, _coloured(results, method, name, about, level, special, dark)
        else:
            yield name, export(figure, results, name, document=about)


def _coloured(
    results: Sequence[Attribution],
    method: AttributionMethod,
    format_: str,
    about: Mapping[str, Any],
    level: str,
    special: bool,
    dark: bool,
) -> bytes:
    from dashboard import textexport, texts
    from dashboard.figures.caption import caption

    titles = {method.name: method.title}
    rows = texts.rows(results, titles, level=level, fold_special=not special, dark=dark)
    legends = texts.scales(results, level, not special, True, dark)
    words = caption(results, titles=titles)
    return textexport.export(rows, legends, format_, caption=words, document=about, dark=dark)


def _show(
    prediction: Prediction,
    results: Sequence[Attribution],
    method: AttributionMethod,
    level: str,
    special: bool,
    first: bool,
) -> None:
    from dashboard.commands.words import answer, tables

    if first:
        print(answer(prediction))
    print(tables(results, method.title, level, special))


def _figure(
    results: Sequence[Attribution],
    method: AttributionMethod,
    level: str,
    special: bool,
    dark: bool,
) -> go.Figure:
    titles = {method.name: method.title}
    if results[0].axis.kind == "tokens":
        from dashboard.figures.tokens import token_bars, token_matrix

        draw = token_bars if len(results) <= _MOST_BARS else token_matrix
        return draw(results, titles, level=level, fold_special=not special, dark=dark)
    if results[0].axis.kind == "columns":
        from dashboard.figures.columns import waterfalls

        return waterfalls(results, titles, dark=dark)
    from dashboard.figures.attribution import attribution_maps

    return attribution_maps(
        results,
        dark=dark,
        titles=titles,
        unsigned=() if method.signed else (method.name,),
        units={method.name: method.unit},
    )


def _contrast() -> str:
    from core.tasks import OTHER_OUTPUT, WHOLE_OUTPUT

    return f"{WHOLE_OUTPUT} vs {OTHER_OUTPUT}"


def _check_level(level: str) -> None:
    from core.results.levels import LEVELS

    if level not in LEVELS:
        raise UnknownName.of("level", level, LEVELS)


def _methods(names: Sequence[str], about: ModelCard) -> list[AttributionMethod]:
    from core.attribution.registry import method as declared

    return [declared(name, about.task.axis) for name in dict.fromkeys(names)]


def _settings(
    methods: Sequence[AttributionMethod], given: Mapping[str, str]
) -> dict[str, dict[str, Value]]:
    """The checked settings of each method; with several, each takes what it declares."""
    from core.parameters import checked

    every = dict.fromkeys(parameter.name for each in methods for parameter in each.parameters)
    if len(methods) > 1:
        for name in given:
            if name not in every:
                raise UnknownName.of("parameter of these methods", name, every)
    found = {}
    for each in methods:
        names = {parameter.name for parameter in each.parameters}
        mine = {k: v for k, v in given.items() if len(methods) == 1 or k in names}
        found[each.name] = checked(each.parameters, mine, each.name)
    return found


def _with_baseline_image(
    methods: Sequence[AttributionMethod], given: Mapping[str, str]
) -> dict[str, str]:
    """A baseline image is meant to be used: it stands for ``baseline=image``."""
    if not any(parameter.name == "baseline" for each in methods for parameter in each.parameters):
        raise BadParameter(
            "--baseline-image is given, but none of these methods has a baseline.",
            "Leave it out, or choose a method such as integrated_gradients.",
        )
    if given.get("baseline", "image") != "image":
        raise BadParameter(
            f"--baseline-image is given together with baseline={given['baseline']}.",
            "Leave one of the two out.",
        )
    return {**given, "baseline": "image"}
