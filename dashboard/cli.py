"""The command line: ``fluoroscope serve | list | add | attribute | attention | train | …``.

A user's error is one clear line on standard error and exit status 2.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from core.errors import Cancelled, FluoroscopeError
from dashboard.commands.add import add
from dashboard.commands.attention import attention
from dashboard.commands.attribute import attribute
from dashboard.commands.capture import capture
from dashboard.commands.check import check
from dashboard.commands.compare import compare
from dashboard.commands.compress import compress
from dashboard.commands.concepts import concepts, influence
from dashboard.commands.evaluate import evaluate
from dashboard.commands.flip import flip
from dashboard.commands.importance import importance
from dashboard.commands.jobs import jobs
from dashboard.commands.layers import layers
from dashboard.commands.lists import listing
from dashboard.commands.project import project
from dashboard.commands.serve import serve
from dashboard.commands.surrogate import surrogate
from dashboard.commands.training import list_runs, train
from dashboard.commands.workspace import keeping
from dashboard.commands.writing import generate, translate

app = typer.Typer(
    name="fluoroscope",
    help="The X-ray room for neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serve)
app.add_typer(listing, name="list")
app.command()(add)
app.command()(check)
app.command()(attribute)
app.command()(attention)
app.command()(capture)
app.command()(layers)
app.command()(project)
app.command()(evaluate)
app.command()(compare)
app.command()(surrogate)
app.command()(importance)
app.command()(concepts)
app.command()(influence)
app.command()(compress)
app.command()(flip)
app.command()(translate)
app.command()(generate)
app.command()(train)
app.command("runs")(list_runs)
app.add_typer(jobs, name="jobs")
app.add_typer(keeping, name="workspace")


def main() -> None:
    """Run the command line; the only place where errors become exit statuses."""
    try:
        app()
    except Cancelled as error:
        _fail(str(error), 130)
    except FluoroscopeError as error:
        _fail(str(error), 2)


def _fail(message: str, status: int) -> NoReturn:
    print(f"fluoroscope: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
