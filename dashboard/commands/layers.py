"""``fluoroscope layers``: what every layer of a model does over a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadInput
from dashboard.commands import inputs, options
from dashboard.commands.calls import captured, with_bar
from dashboard.commands.calls import engine as started
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.results import Behaviour, Probes


def layers(
    model: options.Model,
    data: options.Data = None,
    out: options.Out = None,
    limit: options.Limit = 0,
    formats: options.Formats = "png,json",
    dark: options.Dark = False,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Tell what every layer does: spread, zeros, dead and doubled units, rank, how well classes can
    be told apart; with --out also as figures and a table.
    """
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.paths import located

    wanted = options.formats(formats)
    ref = reference(model)
    found = dataset(card(model), None if data is None else located(data), limit=limit)
    options.say(found.notes)
    options.left_out(found.skipped)
    engine = started(options.known_device(device), workspace)
    asked = {"capture": captured(engine, ref, found, workspace, seed, device)}
    behaviour: Behaviour = with_bar(
        engine, Call("layer_behaviour", ref, (), asked, seed, device), "Statistics"
    )
    probes: Probes | None = None
    try:
        probes = with_bar(engine, Call("layer_probes", ref, (), asked, seed, device), "Probes")
    except BadInput as error:
        options.say([str(error)])
    rows = _rows(behaviour, probes)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        show(rows, False)
    if out is not None:
        _write(inputs.folder(out), model, behaviour, probes, rows, wanted, dark, as_json)


def _rows(behaviour: Behaviour, probes: Probes | None) -> list[dict[str, Any]]:
    right = {}
    if probes is not None:
        right = dict(zip(probes.layers, probes.accuracy.tolist(), strict=True))
    return [
        {
            "layer": each.name,
            "kind": each.kind,
            "units": each.units,
            "mean": round(each.mean, 4),
            "sd": round(each.deviation, 4),
            "zeros": round(each.sparsity, 4),
            "dead": len(each.dead),
            "saturated": len(each.saturated),
            "copies": len({pair[1] for pair in each.duplicates}),
            "rank": round(each.effective_rank, 1),
            "probe": round(right[each.name], 4) if each.name in right else None,
        }
        for each in behaviour.layers
    ]


def _write(
    folder: Path,
    model: str,
    behaviour: Behaviour,
    probes: Probes | None,
    rows: list[dict[str, Any]],
    formats: list[str],
    dark: bool,
    as_json: bool,
) -> None:
    import pandas as pd

    from dashboard.export import write
    from dashboard.figures.depth import layer_strip
    from dashboard.figures.probes import probe_curve, similarity_map
    from dashboard.inside.statistic import STATISTICS

    names = [each.name for each in behaviour.layers]
    stem = Path(model.replace(":", "-")).name
    figures: dict[str, tuple[Any, Any]] = {
        "similarity": (similarity_map(behaviour.similarity, names, names, dark=dark), behaviour)
    }
    for key, statistic in STATISTICS.items():
        figure = layer_strip(
            names,
            [statistic.of(each) for each in behaviour.layers],
            title=statistic.title,
            form=statistic.form,
            kinds=[each.kind for each in behaviour.layers],
            healthy=(statistic.low, statistic.high),
            dark=dark,
        )
        figures[key] = (figure, behaviour)
    if probes is not None:
        figures["probes"] = (probe_curve(probes, dark=dark), probes)
    for name, (figure, result) in figures.items():
        for kind in formats:
            path = folder / f"{stem}.{name}.{kind}"
            write(path, figure, [result], kind)
            options.wrote(path, as_json)
    path = folder / f"{stem}.layers.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    options.wrote(path, as_json)
