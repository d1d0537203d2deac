"""Options that several commands share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import BadParameter, UnknownName
from core.paths import located


def known_device(name: str) -> str:
    """``name`` if it is spelt like a device; whether it is there is found out where it is used.

    Raises ``BadParameter``.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
        raise BadParameter(
            f"'{name}' is not a device, expected auto, cpu, cuda, cuda:1 or mps.",
            "Leave it out to use the best there is.",
        )
    return name


def setting(text: str) -> tuple[str, str]:
    """``n_steps=50`` as a pair.

    Raises ``BadParameter``.
    """
    name, sign, value = text.partition("=")
    if not sign or not re.fullmatch(r"\w+", name):
        raise BadParameter(f"'--set {text}' is not a setting.", "Write it as --set n_steps=50.")
    return name, value


def formats(text: str, more: Sequence[str] = ()) -> list[str]:
    """``png,json`` as names of formats: those of figures and ``more``.

    Raises ``BadParameter`` for none, ``UnknownName`` for one that there is not.
    """
    from dashboard.export import FORMATS

    known = (*FORMATS, *more)
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    if not wanted:
        raise BadParameter("--format names no format.", f"Known: {', '.join(known)}.")
    for name in wanted:
        if name not in known:
            raise UnknownName.of("format", name, known)
    return list(dict.fromkeys(wanted))


def say(notes: Iterable[str], about: str = "") -> None:
    """Print what had to be assumed or done to an input, on standard error."""
    for note in notes:
        print(f"{about}: {note}" if about else note, file=sys.stderr)


def wrote(path: Path, as_json: bool) -> None:
    """Name a file that was written: on standard error where standard output is JSON."""
    print(path, file=sys.stderr if as_json else sys.stdout)


def left_out(skipped: Iterable[tuple[str, str]]) -> None:
    """Print every file and row of the data that was skipped, with its reason, on standard error."""
    for name, reason in skipped:
        print(f"left out: {name}: {reason}", file=sys.stderr)


def _in_use(folder: str | None) -> str | None:
    """A folder that was named is the workspace of this process, and of all that it starts; the
    functions that its settings list may be run.
    """
    from core.models.formats import factory
    from core.settings import root

    if folder:
        os.environ["FLUOROSCOPE_WORKSPACE"] = str(located(folder))
    factory.permit_listed(root())
    return folder


def typed(name: str) -> str:
    """What is meant by the name of a model that was typed: where it is that of a function, it may
    be run.
    """
    from core.models.catalogue import whole
    from core.models.formats import factory

    if factory.knows(name):
        factory.permit(name)
    return whole(name)


Workspace = Annotated[
    str | None,
    typer.Option(
        help="Folder for results and uploads.",
        envvar="FLUOROSCOPE_WORKSPACE",
        callback=_in_use,
        is_eager=True,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0, max=2**63 - 1)]
Settings: Any = Annotated[
    list[str] | None, typer.Option("--set", help="A parameter: n_steps=50. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Texts: Any = Annotated[list[str] | None, typer.Option("--text", help="A text; may be repeated.")]
Files: Any = Annotated[
    list[Path] | None, typer.Option("--file", help="A file with a text, or a table of texts.")
]
Outputs: Any = Annotated[
    list[str] | None,
    typer.Option(
        "--output", help="What a model that writes should have said; twice: contrast the two."
    ),
]
Cut: Any = Annotated[
    str, typer.Option("--cut", help="Where too long a text is cut: start, middle or end.")
]
Column: Any = Annotated[
    str, typer.Option("--column", help="The column of a table that holds the texts.")
]
Data: Any = Annotated[
    Path | None,
    typer.Argument(
        help="Pictures (a folder or zip of class folders, an array), a table, texts or a data set "
        "saved to disk; left out: the data that ship with the model."
    ),
]
Label = Annotated[str, typer.Option("--label", help="The column of a table with the classes.")]
Limit = Annotated[
    int, typer.Option(help="At most so many examples, evenly spread; 0 for all.", min=0)
]
Out: Any = Annotated[
    Path | None, typer.Option(help="Folder for what is written; made if it is not there.")
]
Formats = Annotated[
    str, typer.Option("--format", help="Any of png,svg,pdf,html,json,npz, with commas.")
]
Dark = Annotated[bool, typer.Option(help="Draw on a dark background.")]
Model: Any = Annotated[
    str, typer.Argument(help="Name of a model, see `fluoroscope list models`.", callback=typed)
]
TextsOrFiles: Any = Annotated[list[str], typer.Argument(help="Texts, or files with texts.")]
