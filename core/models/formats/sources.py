"""The files of one's own code that a network is made by.

Found by following what modules hold of each other, beginning with that of the function and those of
the network's parts; libraries are left out. Imports no torch.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from core.models.formats import factory

_OURS = __name__.partition(".")[0]
_MOST = 500
_LIBRARIES = ("site-packages", "dist-packages")


def files(place: str, network: Any) -> list[Path]:
    """The files of the module called ``place`` and of what it uses of the same package or of the
    folder that a person's code lies in, in a fixed order; at most 500.
    """
    top = place.partition(".")[0]
    waiting = [place, *sorted({type(part).__module__ for part in network.modules()})]
    found: dict[str, Path] = {}
    seen: set[str] = set()
    while waiting and len(found) < _MOST:
        name = waiting.pop()
        module = sys.modules.get(name)
        if name in seen or module is None:
            continue
        seen.add(name)
        path = _own(module, name, top)
        if path is not None:
            found[name] = path
            waiting += _named(module)
            waiting.append(name.rpartition(".")[0])
    return [found[name] for name in sorted(found)]


def _own(module: ModuleType, name: str, top: str) -> Path | None:
    """The file of a module, where it is a person's own."""
    first = name.partition(".")[0]
    path = Path(getattr(module, "__file__", None) or "")
    if path.suffix != ".py" or not path.is_file() or (first == _OURS and top != _OURS):
        return None
    if first == top:
        return path
    library = any(part in _LIBRARIES for part in path.parts)
    standard = path.is_relative_to(sysconfig.get_path("stdlib"))
    here = path.is_relative_to(factory.home())
    return path if here and not library and not standard else None


def _named(module: ModuleType) -> Iterator[str]:
    """The modules that a module holds, or holds something of."""
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            yield value.__name__
        elif isinstance(value, type | FunctionType):
            yield str(value.__module__)
