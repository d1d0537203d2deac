"""Options that several commands share."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from core.errors import BadParameter


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


Workspace = Annotated[
    str | None,
    typer.Option(help="Folder for results and uploads.", envvar="FLUOROSCOPE_WORKSPACE"),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0, max=2**63 - 1)]
Settings: Any = Annotated[
    list[str] | None, typer.Option("--set", help="A parameter: n_steps=50. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
