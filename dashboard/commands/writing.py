"""``fluoroscope translate`` and ``generate``: what a model that writes says to a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import NotValid
from dashboard.commands import inputs, options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.results import Production
    from core.tasks import Task


def translate(
    model: options.Model,
    texts: options.TextsOrFiles,
    cut: options.Cut = "end",
    column: options.Column = "",
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Translate texts: one line each, or as JSON with the probability of each token."""
    from core.tasks import Task

    _write(model, texts, Task.TRANSLATION, 0, cut, column, as_json, seed, device, workspace)


def generate(
    model: options.Model,
    texts: options.TextsOrFiles,
    tokens: Annotated[int, typer.Option(help="Most tokens to write.", min=1, max=1000)] = 20,
    cut: options.Cut = "end",
    column: options.Column = "",
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Let a language model go on with texts, always with the likeliest token."""
    from core.tasks import Task

    task = Task.CAUSAL_LANGUAGE_MODEL
    _write(model, texts, task, tokens, cut, column, as_json, seed, device, workspace)


def _write(
    name: str,
    given: list[str],
    task: Task,
    tokens: int,
    cut: str,
    column: str,
    as_json: bool,
    seed: int,
    device: str,
    workspace: str | None,
) -> None:
    from core.engine.call import Call
    from core.models.catalogue import card, reference

    about = card(name)
    if about.task is not task:
        raise NotValid(
            f"'{about.name}' is a model for {str(about.task).replace('-', ' ')}, "
            f"expected one for {str(task).replace('-', ' ')}.",
            "`fluoroscope list models` shows which there are.",
        )
    examples, notes = inputs.given(about, given, cut, column)
    options.say(notes)
    call = Call("produce", reference(name), tuple(examples), {"tokens": tokens}, seed, device)
    found: tuple[Production, ...] = with_bar(started(device, workspace), call, about.title)
    for production in found:
        options.say(production.notes, production.example)
    if as_json:
        show([_row(production) for production in found], as_json)
        return
    for production in found:
        print(production.text)


def _row(each: Production) -> dict[str, object]:
    return {
        "example": each.example,
        "text": each.text,
        "tokens": list(each.tokens),
        "probabilities": [round(float(value), 6) for value in each.probabilities],
        "provenance": each.provenance.as_json(),
    }
