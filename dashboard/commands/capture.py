"""``fluoroscope capture`` and ``list layers``: what layers answer to a data set, on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import UnknownName
from dashboard.commands import options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar
from dashboard.commands.lists import listing
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.results.activations import Capture

_FORMATS = ("npy", "safetensors")
TENSORS = "capture.safetensors"


def capture(
    model: options.Model,
    data: options.Data = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            help="A layer, see `fluoroscope list layers`; may be repeated. All if left out.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the capture; one in the workspace if left out.")
    ] = None,
    pool: Annotated[
        str, typer.Option(help="What is kept of positions: mean, max, first, last or whole.")
    ] = "mean",
    dtype: Annotated[str, typer.Option(help="Numbers: float16 or float32.")] = "float16",
    limit: options.Limit = 0,
    text: Annotated[str, typer.Option("--column", help="The column with the texts.")] = "",
    label: options.Label = "",
    formats: Annotated[str, typer.Option("--format", help="Any of npy,safetensors.")] = "npy",
    memory: Annotated[int, typer.Option(help="MiB for activations on their way.", min=1)] = 512,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Write what layers answer to each example of a data set: one .npy per layer, with ids.

    A capture that was cut off goes on when the same command is given again.
    """
    from core.activations.shelf import copied, request, shelved, tidy
    from core.data.dataset import dataset
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.paths import located
    from core.results.activations import open_capture
    from core.workspace import workspace as place_at

    wanted = [each.strip() for each in formats.split(",") if each.strip()]
    for each in wanted:
        if each not in _FORMATS:
            raise UnknownName.of("format", each, _FORMATS)
    place = place_at(workspace)
    path = None if data is None else located(data)
    found = dataset(card(model), path, text=text, label=label, limit=limit)
    options.say(found.notes)
    options.left_out(found.skipped)
    ref = reference(model)
    engine = started(options.known_device(device), workspace)
    folder = None if out is None else located(out)
    settings = {"pool": pool, "dtype": dtype, "memory": memory}
    apart = folder is not None and ref.brought  # it may write in the workspace only
    asked = request(place, ref, found, layers, out=None if apart else folder, seed=seed, **settings)
    made = shelved(asked) if folder is None or apart else None
    if made is None:
        call = Call("capture", ref, (), asked, seed, device)
        with_bar(engine, call, found.name)
        made = open_capture(asked["out"])  # whatever was answered
        if folder is None:
            tidy(place)
    if folder is not None and apart:
        made = copied(made, folder)
    if "safetensors" in wanted:
        from dashboard.commands.tensorfile import write_tensors

        write_tensors(made, made.folder / TENSORS)
    if as_json:
        print(json.dumps(_facts(made), indent=2, ensure_ascii=False))
    else:
        _told(made)


@listing.command("layers")
def list_layers(
    model: options.Model,
    as_json: options.Json = False,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Layers of a model in the order in which they compute, and what a capture keeps of them."""
    from core.engine.call import Call
    from core.models.catalogue import reference

    engine = started(options.known_device(device), workspace)
    call = Call("layers", reference(model), (), {}, 0, device)
    rows: list[dict[str, Any]] = with_bar(engine, call, model)
    if as_json:
        show(rows, as_json)
        return
    for row in rows:
        places = (str(size or "token") for size in row["positions"])
        row["positions"] = " × ".join(places) or None
        row["why"] = f"not captured: {row['why']}" if row["why"] else ""
    show(rows, False, hidden=("default",))


def _facts(made: Capture) -> dict[str, Any]:
    right = None
    if made.labels is not None and made.classes:
        known = made.labels >= 0
        right = float((made.predictions == made.labels)[known].mean()) if known.any() else None
    return {
        "path": str(made.folder),
        "model": made.model,
        "weights": made.weights,
        "data": {"name": made.data.name, "fingerprint": made.data.fingerprint},
        "examples": len(made),
        "left_out": [{"row": row, "reason": reason} for row, reason in made.left_out],
        "accuracy": right,
        "dtype": made.dtype,
        "layers": [
            {
                "name": each.name,
                "kind": each.kind,
                "file": each.file,
                "shape": [len(made), *each.shape],
                "pool": each.pool,
                "nonfinite": each.nonfinite,
                "overflowed": each.overflowed,
            }
            for each in made.layers
        ],
        "skipped": dict(made.skipped),
        "seconds": made.provenance["seconds"],
    }


def _told(made: Capture) -> None:
    rows = [
        {
            "layer": each.name,
            "kind": each.kind,
            "units": each.units,
            "shape": " × ".join(map(str, (len(made), *each.shape))),
            "pool": each.pool,
            "file": each.file,
        }
        for each in made.layers
    ]
    show(rows, False)
    options.say(f"{name} is not captured: {why}" for name, why in made.skipped.items())
    options.say(f"left out: {reason}" for _, reason in made.left_out)
    for each in made.layers:
        if each.nonfinite:
            options.say([f"{each.nonfinite:,} values are NaN or infinite"], each.name)
        if each.overflowed:
            options.say([f"{each.overflowed:,} values are beyond {made.dtype}"], each.name)
    print(made.folder)
