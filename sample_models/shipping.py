"""Makes a sample run of a finished one: small enough to be part of the package.

    python -m sample_models.shipping RUN NAME [--every N] [--curves-only]

Copies RUN to ``runs/NAME`` beside this file, without checkpoints; of the numbers of single updates
it keeps those of every N-th, and with ``--curves-only`` no weights and so no card either.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.errors import BadInput
from core.training.eventfile import PREFIX
from core.training.run import Run

RUNS = Path(__file__).parent / "runs"
_HEADER, _CHECKSUM = 12, 4  # bytes of a record around its payload: length with checksum, checksum


def main() -> None:
    """Read the arguments and ship."""
    parser = argparse.ArgumentParser(description="Make a sample run of a finished one.")
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--curves-only", action="store_true")
    options = parser.parse_args()
    ship(Run.open(options.run), RUNS / options.name, options.every, options.curves_only)


def ship(run: Run, folder: Path, every: int = 1, curves_only: bool = False) -> None:
    """Copy a finished run to ``folder``, in place of what is there.

    Raises ``BadInput`` when it is not finished.
    """
    if run.status.state != "done":
        raise BadInput(f"The run '{run.name}' is not finished.", "Train it to its end.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted(run.folder.iterdir()):
        if path.name.startswith(PREFIX):
            kept = [record for record in records(path.read_bytes()) if _kept(record, every)]
            (folder / path.name).write_bytes(b"".join(kept))
        elif path.name == "lock" or not path.is_file():
            continue
        elif not (curves_only and path.name in ("card.json", "model.safetensors")):
            (folder / path.name).write_bytes(path.read_bytes())


def records(data: bytes) -> Iterator[bytes]:
    """The records of an event file, as they lie in it."""
    at = 0
    while at < len(data):
        end = at + _HEADER + int.from_bytes(data[at : at + 8], "little") + _CHECKSUM
        yield data[at:end]
        at = end


def _kept(record: bytes, every: int) -> bool:
    """Whether a record is more than numbers of an update that is left out."""
    from tensorboard.compat.proto.event_pb2 import Event

    event = Event.FromString(record[_HEADER:-_CHECKSUM])
    of_update = [value.tag.startswith("step/") for value in event.summary.value]
    return not (of_update and all(of_update)) or event.step % every == 0


if __name__ == "__main__":
    main()
