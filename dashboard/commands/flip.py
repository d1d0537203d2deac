"""``fluoroscope flip``: the fewest words whose removal changes the answer, or the smallest changes
of a row of a table that do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import BadParameter
from dashboard.commands import inputs, options
from dashboard.commands.calls import engine as started
from dashboard.commands.calls import with_bar
from dashboard.commands.rowflip import flip_rows

if TYPE_CHECKING:
    from core.results import Flip


def flip(
    model: options.Model,
    texts: options.TextsOrFiles,
    to: Annotated[str, typer.Option(help="The class to reach; any other if left out.")] = "",
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Of a table: a column that may not change; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Of a table: rows whose values may be taken; left out: those that ship with the "
            "model."
        ),
    ] = None,
    settings: options.Settings = None,
    cut: options.Cut = "end",
    column: options.Column = "",
    as_json: options.Json = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Find the fewest words of a text whose removal changes the predicted class, or the smallest
    changes of a row of a table that do.

    Settings of texts: replacement=drop, mask or padding; most=2000, the most texts to try. Of rows:
    count=4, how many ways to tell; most=2000, the most rows of the data to look at.
    """
    from core.attribution.flip import PARAMETERS
    from core.engine.call import Call
    from core.models.catalogue import card, reference
    from core.parameters import checked
    from dashboard.commands.table import show

    about = card(model)
    given = dict(options.setting(each) for each in settings or ())
    examples, notes = inputs.given(about, texts, cut, column)
    options.say(notes)
    if about.task.axis == "columns":
        flip_rows(
            reference(model), examples, to, keep or (), data, given, as_json, seed, device,
            workspace,
        )  # fmt: skip
        return
    if keep or data:
        raise BadParameter(
            f"--keep and --data are for tables, '{about.name}' does not read any.",
            "Leave them out.",
        )
    parameters = {**checked(PARAMETERS, given, "flip"), "to": to}
    call = Call("flip", reference(model), tuple(examples), parameters, seed, device)
    found: tuple[Flip, ...] = with_bar(started(device, workspace), call, about.title)
    for each in found:
        options.say(each.before.notes, each.example)
    if as_json:
        show([_row(each) for each in found], as_json)
        return
    for each in found:
        print(_told(each))


def _told(each: Flip) -> str:
    from dashboard.commands.words import answer, plain

    if each.after is None:
        return f"{answer(each.before)}\nNo set of words that was tried changes this.\n"
    words = ", ".join(f"'{plain(word)}'" for word in each.words)
    count = f"{len(each.words)} word{'s' * (len(each.words) > 1)}"
    proof = "no smaller set does it" if each.proven_smallest else "a smaller set may do it"
    verb = {"drop": "without", "mask": "masking", "padding": "padding over"}[each.replacement]
    return (
        f"{answer(each.before)}\n{verb} {words} ({count}; {proof})\n{answer(each.after)}\n"
        f"{plain(each.text)}\n"
    )


def _row(each: Flip) -> dict[str, object]:
    after = each.after
    return {
        "example": each.example,
        "before": each.before.classes[each.before.top(1)[0]],
        "after": None if after is None else after.classes[after.top(1)[0]],
        "words": list(each.words),
        "spans": [list(span) for span in each.spans],
        "text": each.text,
        "proven_smallest": each.proven_smallest,
        "tried": each.tried,
        "provenance": each.provenance.as_json(),
    }
