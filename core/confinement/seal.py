"""A process that the kernel seals before it imports any library, and so before any thread of it.

Run as ``python -m core.confinement.seal HELD MODULE …``: from then on the process writes to the
places that ``HELD`` names only, starts no program and opens no socket, whatever it comes to run;
then it is ``python -m MODULE …``. Where the system cannot do that, the audit hook of the module is
what there is.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from core.confinement.kernel import able, keep_to, refuse_calls

_GRAPHICS = ("nvidia*", "kfd", "dri/*")


def command(
    module: str, home: Path, places: Sequence[Path] = ()
) -> tuple[list[str], Mapping[str, str]]:
    """The command line of ``python -m module`` sealed, and what its environment has besides.

    It may write to ``home``, which is its temporary folder, to a cache that only sealed processes
    use, and to ``places``. Makes these folders.
    """
    import platformdirs

    caches = Path(platformdirs.user_cache_dir("fluoroscope", appauthor=False)) / "sealed"
    written = [home, caches, *places]
    for each in written:
        with suppress(OSError):  # who needs it will say so
            each.mkdir(parents=True, exist_ok=True)
    # Compiled code is kept as pickles: that of others must not come from here.
    environment = {
        "TMPDIR": str(home),
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "MPLCONFIGDIR": str(caches / "matplotlib"),
        "CUDA_CACHE_PATH": str(caches / "cuda"),
        "HF_HUB_OFFLINE": "1",
        "JOBLIB_MULTIPROCESSING": "0",
    }
    return start(module, written, graphics=True), environment


def start(module: str, places: Sequence[Path], *, graphics: bool = False) -> list[str]:
    """The command line of ``python -m module`` sealed, which writes to ``places`` only and, where
    it needs ``graphics``, to their devices.
    """
    held = json.dumps({"places": [str(each) for each in places], "graphics": graphics})
    # -P: what lies in the current folder must not stand in for a library.
    return [sys.executable, "-P", "-m", "core.confinement.seal", held, module]


def main() -> None:
    """Seal this process and become the module that the command line names."""
    held = json.loads(sys.argv[1])
    places = [Path(each) for each in held["places"]]
    names = _GRAPHICS if held["graphics"] else ()
    devices = [each for name in names for each in Path("/dev").glob(name)]
    if devices:
        devices.append(Path("/dev/shm"))  # noqa: S108 - which the drivers use
    kept = keep_to([each for each in (*places, *devices) if each.exists()])
    refused = refuse_calls()
    if able() and not (kept and refused):
        sys.exit("The kernel does not seal this process, though it knows how.")
    module = sys.argv[2]
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
