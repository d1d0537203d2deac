"""A stranger's file is opened in a process of its own, with limits on memory, time and disk.

Run as ``python -m core.models.exported.opening SOURCE TARGET``: looks the file over, writes the
clean one to TARGET, lets torch rebuild it, runs it, and prints what it found as one line of JSON.
Whatever goes wrong there, the process that asked gets a sentence.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import core
from core import settings
from core.errors import BadModel, UserError, shortened

_HERE = "core.models.exported.opening"
_SAID = "FLUOROSCOPE "
_FORBIDDEN = (
    "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
    "subprocess.Popen", "socket.connect", "socket.bind", "socket.getaddrinfo", "os.link",
    "os.symlink", "shutil.rmtree", "ctypes.dlopen", "webbrowser.open",
)  # fmt: skip


def opened(source: Path, target: Path, worker: str = "") -> dict[str, Any]:
    """What the process found; ``target`` is then a file that may be loaded. ``worker`` is another
    module that is run in place of this one, in the same way.

    The settings ``open_seconds`` (120) and ``open_gib`` (16) are its limits. Raises
    ``BadModel`` when the file is refused, broken, too slow or too large; ``target`` is then gone.
    """
    seconds = max(1, int(settings.value("open_seconds")))
    memory = max(1, int(settings.value("open_gib")))
    name = shortened(source.name, 80)
    # -P: what lies in the current folder must not stand in for a library.
    command = [sys.executable, "-P", "-m", worker or _HERE, str(source), str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, str(seconds), str(memory)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds + 30,
            env=environment(),
            check=False,
        )
        said = done.stdout.decode(errors="replace").splitlines()
        line = next((each for each in said if each.startswith(_SAID)), "")
        told: dict[str, Any] = json.loads(line.removeprefix(_SAID)) if line else {}
        status = done.returncode
    except subprocess.TimeoutExpired:
        told, status = {}, -9
    if "found" in told and status == 0 and target.is_file():
        found: dict[str, Any] = told["found"]
        return found
    target.unlink(missing_ok=True)
    if "error" in told:
        raise BadModel(*told["error"])
    reason = f"needs more than {seconds} seconds" if status in (-9, -24) else "broke its process"
    raise BadModel(
        f"'{name}' {reason} when it is opened with {memory} GiB of memory.",
        "Export it again; if it is as large as that, raise FLUOROSCOPE_OPEN_SECONDS or "
        "FLUOROSCOPE_OPEN_GIB.",
    )


def environment() -> Mapping[str, str]:
    """That of a confined process: our own code, no GPU, one thread, no network for hubs."""
    home = str(Path(core.__file__ or "").parent.parent)
    path = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def confine(seconds: int, memory: int, largest_file: int) -> None:
    """Limits of the system for this process, from now on; it is the first to go where memory runs
    out for all.
    """
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for kind, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory * 2**30),
        (resource.RLIMIT_FSIZE, largest_file),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))


def forbid(but: str = "") -> None:
    """From now on this process unpickles no object, starts nothing and calls nobody; ``but`` is one
    kind of deed that stays allowed.

    An audit hook, which cannot be taken off again.
    """

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN and event != but:
            raise PermissionError(f"the program tried to {event}")

    sys.addaudithook(watch)


def main(source: Path, target: Path, seconds: int, memory: int) -> dict[str, Any]:
    """Look over, clean, rebuild, run. Raises ``BadModel``."""
    from core.models.exported.clean import clean

    def work() -> dict[str, Any]:
        confine(seconds, memory, 2 * source.stat().st_size + 2**26)
        found = clean(source, target)
        from core.models.exported.trial import tried  # torch, only for what was let through

        forbid()
        return tried(found, target)

    return told_of(source, memory, work)


def told_of(source: Path, memory: int, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` on a file returns; what it breaks of memory and disk is told.

    Raises ``BadModel``.
    """
    try:
        return work()
    except MemoryError:
        raise BadModel(
            f"'{source.name}' needs more than {memory} GiB of memory.",
            "Export a smaller model, or raise FLUOROSCOPE_OPEN_GIB.",
        ) from None
    except OSError as error:
        raise BadModel(
            f"'{source.name}' cannot be opened: {error.strerror or error}.",
            "Check the file and the space on the disk.",
        ) from None


def answer(work: Callable[[Path, Path, int, int], dict[str, Any]]) -> None:
    """Do the work that the command line names, and print what was found or what is wrong."""
    source, target, seconds, memory = sys.argv[1:5]
    try:
        found = work(Path(source), Path(target), int(seconds), int(memory))
        told: dict[str, Any] = {"found": found}
    except UserError as error:
        told = {"error": [error.message, error.next_step]}
    except Exception as error:  # a stranger's file may break whatever reads it in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        name = shortened(Path(source).name, 80)
        told = {
            "error": [
                f"'{name}' cannot be read: {shortened(reason, 160).rstrip('.')}.",
                "Save it again with the tool that made it.",
            ]
        }
    print(_SAID + json.dumps(told), flush=True)


if __name__ == "__main__":
    answer(main)
