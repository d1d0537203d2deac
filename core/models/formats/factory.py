"""Networks that one's own code makes, on one's own machine: ``package.module:function``.

The function takes nothing and returns a network, or a network and what ``core.pack`` is told of one
(task, classes, preprocessing, tokenizer, held). It runs only where a person typed its name: a
process has to permit that first, which the command line does and the dashboard and its workers
never do.

Imports no torch.
"""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from core.confinement.folders import HeldFolder
from core.errors import BadModel, UnknownName, shortened
from core.models.card import ModelCard

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_SOURCES = ("own", "hf", "run", "compressed", "upload")
_RETURN = (
    'Return it with what it is for: return model, {"task": "image-classification", "classes": […], '
    '"preprocessing": {"size": 32, "mean": 0.5, "std": 0.5}}.'
)
_permitted: list[bool] = []
_folders: list[HeldFolder] = []


def permit() -> None:
    """From now on this process runs code that is named to it."""
    _permitted.append(True)


def knows(name: str) -> bool:
    """Whether a name is that of a function."""
    return bool(_NAME.fullmatch(name)) and name.partition(":")[0] not in _SOURCES


def card(name: str) -> ModelCard:
    """The card of what the function makes; it is called once in a process.

    Raises ``BadModel`` where code is not run, and when it fails or makes no network;
    ``UnknownName`` when there is no such function.
    """
    if not _permitted:
        raise BadModel(
            f"'{shortened(name, 80)}' names code, which runs only from the command line.",
            f"Use it there, as in `fluoroscope attribute {shortened(name, 80)} …`, or bring the "
            "network as a file with core.pack(model, inputs).",
        )
    return _made(name)[0]


def module(name: str) -> Any:
    """The network itself, for ``core.models.loader``. Raises as ``card`` does."""
    card(name)
    return _made(name)[1]


@cache
def _made(name: str) -> tuple[ModelCard, Any]:
    made = _called(name)
    network, about = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    from core.models.formats.live import live_card  # torch, only for a person's own code

    if not isinstance(about, dict):
        raise BadModel(f"'{name}' returns no description of its network.", _RETURN)
    folder = HeldFolder()
    _folders.append(folder)  # until the process ends
    return live_card(name, network, about, folder.path, _RETURN)


def _called(name: str) -> Any:
    place, _, function = name.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)  # as with `python -m`
    try:
        found = getattr(importlib.import_module(place), function, None)
        if not callable(found):
            raise UnknownName(
                f"There is no function '{function}' in {place}.", "Name one that makes a network."
            )
        return found()
    except UnknownName:
        raise
    except ModuleNotFoundError as error:
        raise UnknownName(
            f"There is no module '{error.name}'.",
            "Start the command in the folder that holds it, or install it.",
        ) from None
    except Exception as error:  # whatever a person's own code does
        reason = (str(error).strip().splitlines() or [""])[0]
        raise BadModel(
            f"'{name}' failed: {type(error).__name__}: {shortened(reason, 160).rstrip('.')}.",
            "Call it in Python to see where.",
        ) from error
    finally:
        if added:
            sys.path.remove(here)
