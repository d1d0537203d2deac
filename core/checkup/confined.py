"""A check-up in a process of its own, with limits on memory and time.

Run as ``python -m core.checkup.confined TARGET NAME FINGERPRINT SEED SECONDS GIB``: loads
the model, looks it over, and stores what it found in TARGET.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.codec import decode, encode
from core.confinement import process
from core.confinement.deeds import forbid
from core.confinement.folders import temporary
from core.confinement.kernel import able
from core.confinement.limits import confine
from core.errors import BadModel, StorageError
from core.models.reference import ModelRef
from core.parameters import checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.checkup import LEVELS, CheckUp, Finding
from core.tasks import Example

_USUAL = 15  # seconds that it takes, most of them to start
_RAISE = f"Use a smaller model or input; if it is as large as that, {process.RAISE}"
_LARGEST = 2**28  # bytes of a result


_UNSEALED = Finding(
    "seal", "Sealed", "note",
    "This system cannot seal the processes that compute with it: only Python's own audit hook "
    "and limits on memory and time hold them.",
    "Where you do not trust its maker, use Linux 5.13 or newer with Landlock and seccomp.",
)  # fmt: skip
_known: dict[tuple[ModelRef, int], CheckUp] = {}


def check_up(
    ref: ModelRef, inputs: Sequence[Example], parameters: Mapping[str, Any], seed: int, meter: Meter
) -> CheckUp:
    """The verb ``check_up`` where no model is loaded: once per model, unless it broke its process.

    Raises ``Cancelled``.
    """
    checked((), parameters, "check_up")
    if (ref, seed) in _known:
        return _known[ref, seed]
    found = confined(ref, seed, meter)
    if found.layers:
        _known[ref, seed] = found
    return found


def confined(ref: ModelRef, seed: int, meter: Meter) -> CheckUp:
    """The check-up of a model that may be hostile or broken. Whatever it does to its process, there
    is a check-up that says so.

    The settings ``open_seconds`` and ``open_gib`` are the limits. Raises ``Cancelled``.
    """
    started = time.perf_counter()
    with temporary() as folder:
        target = folder / "checkup.npz"
        given = [str(target), ref.name, ref.fingerprint, str(seed)]
        ended = process.run(
            __name__, given, meter, _USUAL, "Check-up in a process of its own", [folder]
        )
        try:
            found = decode(target.read_bytes())
        except (OSError, StorageError):
            found = None
        if isinstance(found, CheckUp) and ended.status == 0:
            if able():
                return found
            told = sorted((*found.findings, _UNSEALED), key=lambda one: -LEVELS.index(one.level))
            return replace(found, findings=tuple(told))
    if "error" in ended.told:
        finding = Finding("forward", "One forward", "bad", *map(str, ended.told["error"][:2]))
    else:
        finding = Finding(
            "limits", "Limits", "bad",
            f"It {ended.reason} when it is tried with {ended.memory} GiB of memory.", _RAISE,
        )  # fmt: skip
    took = time.perf_counter() - started
    return CheckUp(
        model=ref.name, findings=(finding,), parameters=0, disk_bytes=0, device_bytes=0,
        pass_bytes=0, free_bytes=0, forward_seconds=0.0, input_shape=(), outputs=0, operators={},
        layers=(), left_out={}, fits={}, attention=(),
        provenance=Provenance(
            ref.name, ref.fingerprint, (), "check_up", {}, seed, "cpu", took
        ),
    )  # fmt: skip


def main(target: Path, ref: ModelRef, seed: int, seconds: int, memory: int) -> None:
    """Load, look over, store. Raises what loading raises. On the CPU: limits on memory would also
    count what a GPU only reserves.
    """
    confine(seconds, memory, _LARGEST)
    from core.checkup.check import examined
    from core.device import out_of_memory
    from core.models.loader import load

    try:
        model = load(ref, "cpu")
        forbid()
        target.write_bytes(encode(examined(model, seed, Meter())))
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise BadModel(f"It needs more than {memory} GiB of memory.", _RAISE) from None


if __name__ == "__main__":
    place, name, fingerprint, first, second, third = sys.argv[1:]

    def work() -> dict[str, str]:
        """Nothing is told of what was found: that is in the file."""
        ref = ModelRef(name, fingerprint)
        main(Path(place), ref, int(first), int(second), int(third))
        return {}

    process.answer(work, name)
