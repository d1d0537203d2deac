"""A check-up in a process of its own, with limits on memory and time.

Run as ``python -m core.checkup.confined TARGET NAME FINGERPRINT SEED SECONDS GIB``: loads
the model, looks it over, and stores what it found in TARGET.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from core import settings
from core.codec import decode, encode
from core.errors import BadModel, StorageError, UserError
from core.models.exported.opening import confine, environment, forbid
from core.models.reference import ModelRef
from core.progress import Meter
from core.provenance import Provenance
from core.results.checkup import CheckUp, Finding

_USUAL = 15  # seconds that it takes, most of them to start
_PATIENCE = 0.2  # seconds between two looks whether somebody cancelled
_RAISE = (
    "Use a smaller model or input; if it is as large as that, raise FLUOROSCOPE_OPEN_SECONDS or "
    "FLUOROSCOPE_OPEN_GIB."
)
_LARGEST = 2**28  # bytes of a result
_SAID = "FLUOROSCOPE "


def confined(ref: ModelRef, seed: int, meter: Meter) -> CheckUp:
    """The check-up of a model that may be hostile or broken. Whatever it does to its process, there
    is a check-up that says so.

    The settings ``open_seconds`` and ``open_gib`` are the limits. Raises ``Cancelled``.
    """
    seconds = max(1, int(settings.value("open_seconds")))
    memory = max(1, int(settings.value("open_gib")))
    meter.expect(_USUAL, "Check-up in a process of its own")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fluoroscope-") as folder:
        target = Path(folder) / "checkup.npz"
        # -P: what lies in the current folder must not stand in for a library.
        command = [sys.executable, "-P", "-m", __name__, str(target), ref.name, ref.fingerprint]
        given = [str(seed), str(seconds), str(memory)]
        status, said = _run([*command, *given], seconds + 30, meter)
        try:
            found = decode(target.read_bytes())
        except (OSError, StorageError):
            found = None
        if isinstance(found, CheckUp) and status == 0:
            return found
    if said:
        finding = Finding("forward", "One forward", "bad", *said)
    else:
        late = status in (-9, -24)
        how = f"needs more than {seconds} seconds" if late else "broke its process"
        finding = Finding(
            "limits", "Limits", "bad", f"It {how} when it is tried with {memory} GiB of memory.",
            _RAISE,
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


def _run(command: Sequence[str], longest: int, meter: Meter) -> tuple[int, list[str]]:
    """The exit status, and the error that it told; ended when it takes too long or is cancelled."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        until = time.monotonic() + longest
        while time.monotonic() < until:
            meter.tick(_PATIENCE)
            try:
                out, _ = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                continue
            lines = out.decode(errors="replace").splitlines()
            line = next((each for each in lines if each.startswith(_SAID)), "")
            told = json.loads(line.removeprefix(_SAID)) if line else []
            return process.returncode, [str(each) for each in told[:2]]
        return -9, []
    finally:
        process.kill()
        process.communicate()


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
    try:
        main(Path(place), ModelRef(name, fingerprint), int(first), int(second), int(third))
    except UserError as error:
        print(_SAID + json.dumps([error.message, error.next_step]), flush=True)
        sys.exit(2)
