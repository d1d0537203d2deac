"""``fluoroscope attention``: where a Transformer looks, from the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadParameter
from dashboard.commands import inputs, options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar

if TYPE_CHECKING:
    from core.results import AttentionMaps, AttentionOverview

_NUMBERS = ("json", "npz")  # the rest are pictures
CAVEAT = "Attention shows where the model looked, not why it answered."


def attention(
    model: options.Model,
    given: Annotated[list[str], typer.Argument(help="Texts, or files with texts or images.")],
    layers: Annotated[
        str, typer.Option(help="Layers to write in full, by number or name: 0,5; or all.")
    ] = "",
    out: options.Out = None,
    output: options.Outputs = None,
    formats: options.Formats = "png,json",
    cut: options.Cut = "end",
    column: options.Column = "",
    dark: options.Dark = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Show what the heads of a model attend to, and write an overview of all of them.

    With --layers also the whole maps of these layers: their numbers in one file, a picture for
    each head.
    """
    from core.engine.call import Call
    from core.models.catalogue import card, reference

    about = card(model)
    wanted = options.formats(formats)
    examples, notes = inputs.given(about, given, cut, column, output or ())
    options.say(notes)
    if layers and out is None:
        raise BadParameter("--layers is given, but not where to.", "Add --out FOLDER.")
    ref = reference(model)
    engine = started(device, workspace)
    folder = None if out is None else inputs.folder(out)
    for example, stem in zip(examples, inputs.names(examples), strict=True):
        call = Call("attention_overview", ref, (example,), {}, seed, device)
        overview: AttentionOverview = with_bar(engine, call, example.name)[0]
        maps: AttentionMaps | None = None
        if layers:
            asked: Any = "all" if layers == "all" else [each.strip() for each in layers.split(",")]
            call = Call("attention", ref, (example,), {"layers": asked}, seed, device)
            maps = with_bar(engine, call, example.name)[0]
        print(_told(overview))
        if folder is not None:
            _write(folder, stem, overview, maps, wanted, dark)
    print(CAVEAT)


def _told(overview: AttentionOverview) -> str:
    """One line per layer: what its heads do, most heads first."""
    from dashboard.commands.words import plain

    wide = max(len(layer.name) for layer in overview.layers)
    lines = [plain(overview.example)]
    for number, layer in enumerate(overview.layers):
        kinds = Counter(overview.head_types[number]).most_common()
        lines.append(
            f"{number:>3}  {layer.name:<{wide}}  {layer.role:<7}  entropy "
            f"{float(overview.entropy[number].mean()):.2f}  distance "
            f"{float(overview.distance[number].mean()):.1f}  "
            + ", ".join(f"{count} {kind}" for kind, count in kinds)
        )
    return "\n".join(lines) + "\n"


def _write(
    folder: Path,
    stem: str,
    overview: AttentionOverview,
    maps: AttentionMaps | None,
    formats: Sequence[str],
    dark: bool,
) -> None:
    """An overview of all heads, the numbers of the layers, and a picture of each of their heads."""
    import plotly.graph_objects as go

    from dashboard.export import write
    from dashboard.figures import attention as figures

    def out(name: str, figure: go.Figure, result: Any, kinds: Sequence[str]) -> None:
        for kind in kinds:
            write(folder / f"{name}.{kind}", figure, [result], kind)
            print(folder / f"{name}.{kind}")

    out(f"{stem}.attention", figures.overview(overview, dark=dark), overview, formats)
    if maps is None:
        return
    out(f"{stem}.layers", go.Figure(), maps, [kind for kind in formats if kind in _NUMBERS])
    drawn = [kind for kind in formats if kind not in _NUMBERS]
    numbers = {layer.name: number for number, layer in enumerate(overview.layers)}
    for place, layer in enumerate(maps.layers):
        for head in range(layer.heads if drawn else 0):
            figure = figures.head_map(maps, place, head, dark=dark)
            out(f"{stem}.layer-{numbers[layer.name]}.head-{head}", figure, maps, drawn)
