"""Networks that one's own code makes, on one's own machine: ``package.module:function``.

The function takes nothing and returns a network, or a network and what ``core.pack`` is told of one
(task, classes, preprocessing, tokenizer, held). It runs only where a person wrote its name: a
process permits the names that were typed on the command line, and those that the settings list
(``core.settings.models``), which a page can only show. The process of the dashboard permits none;
of the workers only those do that no stranger's network reaches.

Imports no torch.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import settings
from core.confinement.folders import HeldFolder
from core.errors import BadModel, UnknownName, shortened
from core.models.card import ModelCard
from core.models.formats import configured
from core.settings import names_code

FOLDER = "FLUOROSCOPE_CODE"
"""The variable that says where a person's code lies besides installed packages: where
``fluoroscope serve`` was started. Left out, it is the current folder.
"""
_RETURN = (
    'Return it with what it is for: return model, {"task": "image-classification", "classes": […], '
    '"preprocessing": {"size": 32, "mean": 0.5, "std": 0.5}}.'
)
_typed: set[str] = set()
_listed: list[Path | None] = []  # at most one: the workspace whose settings count


@dataclass
class _Made:
    """What a function made: ``network`` until it is handed out; its ``folder`` goes with it."""

    live: configured.Live
    card: ModelCard
    network: Any
    folder: HeldFolder


_made: dict[str, _Made] = {}


def permit(*names: str) -> None:
    """From now on this process runs the functions of these names: a person typed them."""
    _typed.update(names)


def permit_listed(place: Path | None = None) -> None:
    """From now on this process runs the functions that the settings of the workspace at ``place``
    list, by default the usual one, and no others that settings list.
    """
    _listed[:] = [place]


def permitted(name: str) -> bool:
    """Whether this process runs the function of this name.

    Raises ``BadParameter`` where the settings cannot be read.
    """
    return name in _typed or any(name in settings.models(place) for place in _listed)


def knows(name: str) -> bool:
    """Whether a name is that of a function."""
    return names_code(name)


def card(name: str) -> ModelCard:
    """The card of what the function makes, which is called once for it in a process. Where code is
    not run, the card that the dashboard keeps (``core.models.formats.configured``).

    Raises ``BadModel`` where there is none, and when the function fails or makes no network;
    ``UnknownName`` when there is no such function.
    """
    return _known(name).card if permitted(name) else configured.card(name)


def live(name: str) -> configured.Live:
    """What was found of the network.

    Raises as ``card`` does, and ``BadModel`` where code is not run.
    """
    if not permitted(name):
        raise configured.refused(name)
    return _known(name).live


def module(name: str) -> Any:
    """A network of one's own for ``core.models.loader``, another one each time. Raises as ``card``
    does, and ``BadModel`` when its weights are not those of the first.
    """
    live(name)
    made = _made[name]
    network, made.network = made.network, None
    if network is not None:
        return network
    again = _fresh(name)
    if again.live.digest != made.live.digest:
        raise BadModel(
            f"'{name}' returns other weights than when it was first called.",
            "Start this again, if it reads new ones; else have it read them from a file.",
        )
    return again.network


def _known(name: str) -> _Made:
    if name not in _made:
        _made[name] = _fresh(name)
    return _made[name]


def _fresh(name: str) -> _Made:
    from core.models.formats.live import lived, steadied  # torch, only for a person's own code

    with steadied():
        made = _called(name)
    network, about = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    if not isinstance(about, dict):
        raise BadModel(f"'{name}' returns no description of its network.", _RETURN)
    folder = HeldFolder()
    live, network = lived(name, network, about, folder.path, _RETURN)
    return _Made(live, configured.written(name, live, folder.path), network, folder)


def _called(name: str) -> Any:
    place, _, function = name.partition(":")
    here = home()
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
            f"It is looked for in installed packages and in {here}: start the command in the "
            "folder that holds it, or install it.",
        ) from None
    except (Exception, SystemExit) as error:  # whatever a person's own code does
        reason = (str(error).strip().splitlines() or [""])[0]
        raise BadModel(
            f"'{name}' failed: {type(error).__name__}: {shortened(reason, 160).rstrip('.')}.",
            "Call it in Python to see where.",
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def home() -> str:
    """The folder in which a person's code is looked for, besides installed packages."""
    return os.environ.get(FOLDER) or str(Path.cwd())
