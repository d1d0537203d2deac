"""``fluoroscope add``: take a model of one's own into the workspace, after it was looked over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadParameter
from core.models.exported.choice import names
from core.models.exported.held import values
from dashboard.bringing import findings
from dashboard.commands import inputs, options
from dashboard.commands.table import show

if TYPE_CHECKING:
    pass

_SIDES = ("height", "width", "channels")
_LISTS = ("mean", "std")


def add(
    file: Annotated[
        Path,
        typer.Argument(
            help="A .pt2 file, weights in .safetensors, .pt, .pth or .ckpt, an .onnx or .skops "
            "file, or a folder or zip as save_pretrained(folder) writes it."
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            help="image-classification, text-classification, tabular-classification, "
            "causal-language-model or translation; told from the shapes, if left out."
        ),
    ] = "",
    classes: Annotated[
        str, typer.Option(help="Names of the outputs, with commas; or a file with one per line.")
    ] = "",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="How pictures are prepared: size=224, mean=0.5, std=0.25,0.25,0.25, fit=cover. "
            "Of a table: columns=age,income.",
        ),
    ] = None,
    hold: Annotated[
        list[str] | None,
        typer.Option(
            help="What an input that is not looked into is held at: numbers=0, or numbers=0,1,0."
        ),
    ] = None,
    look_into: Annotated[
        str,
        typer.Option(
            help="Which input is looked into, of several; the others are held. Names with commas, "
            "where they are columns of a table."
        ),
    ] = "",
    tokenizer: Annotated[
        Path | None, typer.Option(help="The tokenizer.json of a model for texts.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="A JSON file that says all this; options go before it.")
    ] = None,
    architecture: Annotated[
        str,
        typer.Option(
            help="What weights belong to: a sample model such as digits_cnn, or JSON such as "
            '{"timm": "resnet18"} or a configuration of transformers.'
        ),
    ] = "",
    title: Annotated[str, typer.Option(help="What it is called in the dashboard.")] = "",
    name: Annotated[str, typer.Option(help="What it is asked for as, own:NAME.")] = "",
    as_json: options.Json = False,
    workspace: options.Workspace = None,
) -> None:
    """Check a model of your own without running any code from its file, keep it in the workspace,
    and tell what was found. From then on it is own:NAME for every command and page.
    """
    from core.models.catalogue import card as card_of
    from core.models.exported import own
    from core.models.exported.description import Description
    from core.models.formats.architecture import spelt
    from core.models.formats.door import add as taken
    from core.paths import located
    from core.workspace import workspace as place_at

    said = Description.read(_said(task, classes, set_ or [], tokenizer, title))
    if hold:
        said = replace(said, held=dict(_held(text) for text in hold))
    if look_into:
        said = replace(said, look_into=names(look_into))
    if architecture:
        said = replace(said, architecture=spelt(architecture))
    if card is not None:
        said = said.over(Description.read(inputs.file(card).data.decode(errors="replace")))
    place = place_at(workspace)
    empty = said == Description()
    added = taken(located(file), None if empty else said, name, place)
    about = card_of(f"{own.PREFIX}{place.root / 'models' / added.name.removeprefix(own.PREFIX)}")
    options.say(added.notes, added.name)
    rows = findings.rows(added.found, about)
    if as_json:
        print(json.dumps({"model": added.name, "notes": added.notes, "rows": rows}, indent=2))
        return
    show(rows, False)
    print(added.name + (" (known already)" if added.known else ""))


def _said(task: str, classes: str, settings: list[str], tokenizer: Path | None, title: str) -> str:
    about: dict[str, Any] = {"title": title, "task": task, "preprocessing": {}}
    if classes:
        path = Path(classes)
        if "," not in classes and path.is_file():
            lines = inputs.file(path).data.decode(errors="replace").splitlines()
            about["classes"] = [each.strip() for each in lines if each.strip()]
        else:
            about["classes"] = [each.strip() for each in classes.split(",")]
    for text in settings:
        name, value = options.setting(text)
        try:
            about["preprocessing"] |= _setting(name, value)
        except ValueError:
            raise BadParameter(
                f"'--set {text}' is no setting of a model.",
                "Known: size, height, width, channels, mean, std, fit, box, columns.",
            ) from None
    if tokenizer is not None:
        about["tokenizer"] = {"json": inputs.file(tokenizer).data.decode(errors="replace")}
    return json.dumps(about)


def _held(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        found = [json.loads(each) for each in value.split(",")]
    except ValueError:
        found = [value]
    return name.strip(), values(found[0] if len(found) == 1 else found)


def _setting(name: str, value: str) -> dict[str, Any]:
    if name == "size":
        height, _, width = value.partition("x")
        return {"height": int(height), "width": int(width or height)}
    if name in (*_SIDES, "box"):
        return {name: int(value)}
    if name in _LISTS:
        return {name: [float(each) for each in value.split(",")]}
    if name == "fit":
        return {name: value}
    if name == "columns":
        return {"features": [each.strip() for each in value.split(",")]}
    raise ValueError(name)
