"""Settings of one installation: sane defaults, a file in the workspace, environment variables.

``FLUOROSCOPE_UPLOAD_MB=2000`` counts before ``upload_mb = 2000`` in ``settings.toml`` in the
workspace, and that before the default. They are read when they are asked for, so that a change of
the file needs no restart, except for the size of uploads, which the server learns when it starts.
Besides limits, ``models`` names functions that make networks (``core.models.formats.factory``).
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from core.confinement.limits import GIB, machine_memory
from core.errors import BadParameter
from core.paths import located

FILE: Final = "settings.toml"


@dataclass(frozen=True)
class Limit:
    """One setting: a positive number of at most ``most``, its unit and what it bounds."""

    name: str
    default: float
    unit: str
    about: str
    most: float = 1e6

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"FLUOROSCOPE_{self.name.upper()}"


LIMITS: Final = (
    Limit("upload_mb", 500, "MB", "The largest file that a page takes."),
    Limit("megapixels", 50, "megapixels", "The largest picture that is decoded."),
    Limit("zip_files", 200_000, "files", "The most files in a zip.", 1e9),
    Limit("zip_gib", 20, "GiB", "What the files of a zip may take together when unpacked."),
    Limit("zip_ratio", 200, "×", "How much smaller than its files a zip may be."),
    Limit("array_gib", 4, "GiB", "What an array in an .npz may take in memory; an .npy streams."),
    Limit("open_gib", 16, "GiB", "Memory for opening a model that somebody brought."),
    Limit("open_seconds", 120, "seconds", "Time for opening a model that somebody brought."),
    Limit(
        "worker_gib",
        max(1, int(0.8 * machine_memory() / GIB)),
        "GiB",
        "Memory of the process that computes.",
    ),
    Limit("step_seconds", 600, "seconds", "Time for one step of a model that somebody brought."),
    Limit(
        "results_gib",
        2,
        "GiB",
        "Kept results; as much again for those of brought models, and for captures.",
    ),
)
_BEFORE: Final = {f"{name}_gb": f"{name}_gib" for name in ("zip", "array", "results")}
"""What settings were called once; they still count."""
MODELS: Final = "models"
MODELS_VARIABLE: Final = "FLUOROSCOPE_MODELS"
_FUNCTION: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_SOURCES: Final = ("own", "hf", "run", "compressed", "upload")
_MOST_MODELS, _LONGEST_NAME = 50, 200
_LARGEST: Final = 2**14  # bytes of a file of them
_LONGEST: Final = 1_000  # of a line: a name of many parts takes the square of them in memory
_BY_NAME: Final = {each.name: each for each in LIMITS}


@dataclass(frozen=True)
class Setting:
    """A limit with the value in force and where that comes from."""

    limit: Limit
    value: float
    source: str


def root(path: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the workspace: ``path``, else ``FLUOROSCOPE_WORKSPACE``, else the user's."""
    place = path or os.environ.get("FLUOROSCOPE_WORKSPACE")
    if not place:
        import platformdirs

        place = platformdirs.user_data_dir("fluoroscope", appauthor=False)
    return located(os.fspath(place))


def setting(name: str, place: Path | None = None) -> Setting:
    """The setting called ``name`` for the workspace at ``place``, by default the usual one.

    Raises ``BadParameter`` for a value that is no positive number, and a file that cannot be read.
    """
    limit = _BY_NAME[name]
    for each in (name, *(old for old, new in _BEFORE.items() if new == name)):
        variable = f"FLUOROSCOPE_{each.upper()}"
        if (text := os.environ.get(variable)) is not None:
            return Setting(limit, _number(text, variable, limit), variable)
    found = _kept(place)
    if name not in found:
        return Setting(limit, limit.default, "default")
    return Setting(limit, _number(found[name], f"{name} in {FILE}", limit), FILE)


def value(name: str) -> float:
    """The value in force of the setting called ``name``.

    Raises ``BadParameter`` as ``setting`` does.
    """
    return setting(name).value


def settings(place: Path | None = None) -> tuple[Setting, ...]:
    """All of them, in the order of ``LIMITS``.

    Raises ``BadParameter`` as ``setting`` does.
    """
    return tuple(setting(each.name, place) for each in LIMITS)


def names_code(name: str) -> bool:
    """Whether a name is one of a function, ``package.module:function``."""
    return bool(_FUNCTION.fullmatch(name)) and name.partition(":")[0] not in _SOURCES


def models(place: Path | None = None) -> tuple[str, ...]:
    """The functions of one's own code that make networks, as ``package.module:function``, that
    ``models`` lists for the workspace at ``place``, by default the usual one.

    Raises ``BadParameter`` for what is no list of them, and a file that cannot be read.
    """
    if (text := os.environ.get(MODELS_VARIABLE)) is not None:
        given = [each.strip() for each in text.split(",")]
        return _functions([each for each in given if each], MODELS_VARIABLE)
    return _functions(_kept(place).get(MODELS, []), f"{MODELS} in {FILE}")


def _functions(given: object, where: str) -> tuple[str, ...]:
    listed = list(dict.fromkeys(map(str, given))) if isinstance(given, list) else None
    odd = [each for each in listed or () if len(each) > _LONGEST_NAME or not names_code(each)]
    if listed is not None and not odd and len(listed) <= _MOST_MODELS:
        return tuple(listed)
    what = f"names '{odd[0][:40]}'" if odd else f"is '{str(given)[:40]}'"
    what = what if odd or not listed else f"lists {len(listed)} functions"
    raise BadParameter(
        f"{where} {what}, expected a list of at most {_MOST_MODELS} functions.",
        f'Write {MODELS} = ["package.module:function"], or leave it out.',
    )


def _kept(place: Path | None) -> Mapping[str, Any]:
    """What the file in the workspace at ``place`` sets; nothing where there is none."""
    path = (place or root()) / FILE
    try:
        status = path.stat()
    except OSError:
        return {}
    return _file(path, (status.st_mtime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=4)
def _file(path: Path, changed: tuple[int, ...]) -> Mapping[str, Any]:
    try:
        found = tomllib.loads(_text(path))
    except (OSError, ValueError, RecursionError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise BadParameter(
            f"The settings in '{path}' cannot be read: {reason[:200].rstrip('.')}.",
            "Write one setting a line, such as upload_mb = 2000, or remove the file.",
        ) from None
    found = {_BEFORE.get(name, name): given for name, given in found.items()}
    unknown = sorted(set(found) - set(_BY_NAME) - {MODELS})
    if unknown:
        raise BadParameter(
            f"'{path}' has a setting '{unknown[0][:40]}', which there is not.",
            f"Known: {', '.join((*_BY_NAME, MODELS))}.",
        )
    return found


def _text(path: Path) -> str:
    """What the file says. Raises ``OSError`` and ``ValueError`` for what are no settings."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait
    with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no file")
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST or any(len(line) > _LONGEST for line in raw.splitlines()):
        raise ValueError(f"it has more than {_LARGEST // 2**10} KiB, or lines of {_LONGEST:,}")
    return raw.decode("utf-8-sig")


def _number(given: object, where: str, limit: Limit) -> float:
    try:
        number = float(given) if isinstance(given, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    least = number >= 0 if limit.name == "results_gib" else number > 0
    if not (least and number <= limit.most) or isinstance(given, bool):
        unit = "gibibytes" if limit.unit == "GiB" else limit.unit
        raise BadParameter(
            f"{where} is '{str(given)[:40]}', expected a number of {unit} up to {limit.most:,.0f}.",
            f"Leave it out to keep {limit.default:g}.",
        )
    return number
