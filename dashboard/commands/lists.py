"""``fluoroscope list``: what there is to choose from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

from core.errors import FluoroscopeError
from dashboard.commands import options
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.tasks import AxisKind

listing = typer.Typer(help="List what there is, as a table or as JSON.", no_args_is_help=True)


@listing.command("models")
def list_models(as_json: options.Json = False) -> None:
    """Models by name, with task and measured quality; at the end those that people brought, and
    those of one's own code that the settings list: it is not run, so of one that was never opened
    there is only the name.
    """
    from core import settings
    from core.models.catalogue import card, catalogue, missing
    from core.models.exported import own
    from core.models.formats import configured

    brought = []
    for name in own.names():
        with suppress(FluoroscopeError):  # one that is damaged does not hide the others
            brought.append(card(name))
    unknown = []
    for name in settings.models():
        try:
            brought.append(configured.card(name))
        except FluoroscopeError:
            unknown.append(name)

    rows: list[dict[str, Any]] = [
        {
            "name": model.name,
            "title": model.title,
            "task": str(model.task),
            "accuracy": model.raw.get("metrics", {}).get("accuracy"),
            "parameters": model.raw.get("parameters"),
            "installed": not missing(model),
        }
        for model in (*catalogue().values(), *brought)
    ]
    empty = dict.fromkeys(rows[0]) if rows else {}
    show([*rows, *({**empty, "name": name} for name in unknown)], as_json)


@listing.command("methods")
def list_methods(as_json: options.Json = False) -> None:
    """Attribution methods with their parameters, and the inputs that they explain."""
    from core.attribution.registry import methods

    nouns: dict[AxisKind, str] = {"pixels": "images", "tokens": "texts", "columns": "tables"}
    declared = [(noun, method) for axis, noun in nouns.items() for method in methods(axis)]
    suited: dict[str, list[str]] = {}
    for noun, method in declared:
        suited.setdefault(method.name, []).append(noun)
    rows = [
        {
            "name": method.name,
            "family": method.family,
            "title": method.title,
            "inputs": ", ".join(suited[method.name]),
            "parameters": ", ".join(f"{p.name}={p.default}" for p in method.parameters),
            "reference": method.reference,
        }
        for noun, method in declared
        if noun == suited[method.name][0]
    ]
    show(rows, as_json, hidden=("reference",))


@listing.command("recipes")
def list_recipes(as_json: options.Json = False) -> None:
    """What can be trained, what it learns from and what it reaches."""
    from core.training.recipe import recipes

    rows = [
        {
            "name": recipe.name,
            "title": recipe.title,
            "task": str(recipe.task),
            "data": recipe.data_kind,
            "reaches": recipe.reaches,
            "teaches": recipe.teaches,
            "parameters": {p.name: p.default for p in recipe.declared},
            "sweep": {name: list(values) for name, values in recipe.sweep.items()},
        }
        for recipe in recipes().values()
    ]
    show(rows, as_json, hidden=("teaches", "parameters", "sweep"))


@listing.command("examples")
def list_examples(as_json: options.Json = False) -> None:
    """Bundled example inputs and the models they suit."""
    from core.data.gallery import gallery

    rows = [
        {
            "name": item.name,
            "title": item.title,
            "models": ", ".join(item.models),
            "path": str(item.path),
        }
        for item in gallery()
    ]
    show(rows, as_json, hidden=("path",))
