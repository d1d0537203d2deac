"""Makes sample runs of finished ones: small enough to be part of the package.

    python -m sample_models.shipping NAME RUN [RUN ...] [--every N] [--curves-only] [--half]

Copies RUN to ``runs/NAME`` beside this file, without checkpoints; of the numbers of single updates
it keeps those of every N-th. Several runs, those of a sweep, go into folders below ``runs/NAME``,
of which the one with the lowest validation loss keeps its weights and card, and ``card.json`` holds
what all of them reached; with ``--curves-only`` none keeps its weights. ``--half`` keeps weights as
16-bit numbers, which halves the file.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.provenance import sha256_of_file
from core.training.eventfile import PREFIX
from core.training.events import EventLog
from core.training.recipe import recipe
from core.training.run import Run

RUNS = Path(__file__).parent / "runs"
_HEADER, _CHECKSUM = 12, 4  # bytes of a record around its payload: length with checksum, checksum
_MODEL = ("card.json", "model.safetensors")


def main() -> None:
    """Read the arguments and ship."""
    parser = argparse.ArgumentParser(description="Make sample runs of finished ones.")
    parser.add_argument("name")
    parser.add_argument("run", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--curves-only", action="store_true")
    parser.add_argument("--half", action="store_true")
    options = parser.parse_args()
    folder, given = RUNS / options.name, [Run.open(path) for path in options.run]
    if len(given) == 1:
        ship(given[0], folder, options.every, options.curves_only, options.half)
    else:
        ship_sweep(given, folder, options.every, options.curves_only)


def ship(
    run: Run, folder: Path, every: int = 1, curves_only: bool = False, half: bool = False
) -> None:
    """Copy a finished run to ``folder``, in place of what is there.

    Raises ``BadInput`` when it is not finished.
    """
    from core.training.outcome import command

    if run.status.state != "done":
        raise BadInput(f"The run '{run.name}' is not finished.", "Train it to its end.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted(run.folder.iterdir()):
        if path.name.startswith(PREFIX):
            kept = [record for record in records(path.read_bytes()) if _kept(record, every)]
            (folder / path.name).write_bytes(b"".join(kept))
        elif path.is_file() and path.name != "lock" and path.name not in _MODEL:
            (folder / path.name).write_bytes(path.read_bytes())
    if not curves_only:
        shutil.copyfile(run.folder / _MODEL[1], folder / _MODEL[1])
        card = json.loads((run.folder / _MODEL[0]).read_text(encoding="utf-8"))
        if half:
            _halve(folder / _MODEL[1])
            card["weights_precision"] = "float16"
        card["weights_sha256"] = sha256_of_file(folder / _MODEL[1])
        card["name"] = f"run:{folder.relative_to(RUNS) if RUNS in folder.parents else folder.name}"
        card["training"]["command"] = command(run)
        _write(folder / "card.json", card)


def ship_sweep(
    runs: Sequence[Run], folder: Path, every: int = 1, curves_only: bool = False
) -> None:
    """Copy finished runs of one sweep into folders below ``folder``, with a card of them all."""
    shutil.rmtree(folder, ignore_errors=True)
    declared = recipe(runs[0].config.recipe)
    best = min(runs, key=lambda run: run.status.best or 0.0)
    rows = []
    for run in sorted(runs, key=lambda run: tuple(run.config.settings[k] for k in declared.sweep)):
        chosen = {key: run.config.settings[key] for key in declared.sweep}
        label = "-".join(f"{key}={value}" for key, value in chosen.items())
        ship(run, folder / label, every, curves_only or run is not best)
        rows.append({**chosen, **reached(run)})
    changed = {
        each.name: value
        for each in declared.declared
        if (value := runs[0].config.settings[each.name]) != each.default
        and each.name not in declared.sweep
    }
    settings = "".join(f" --set {key}={value}" for key, value in changed.items())
    about = {
        "title": declared.title,
        "summary": declared.summary,
        "recipe": declared.name,
        "command": f"fluoroscope train {declared.name}{settings} --seed {runs[0].config.seed}",
        "runs": rows,
    }
    _write(folder / "card.json", about)


def reached(run: Run) -> dict[str, float]:
    """What a run measured after its last epoch, how far its training and validation lie apart, and
    what its best epoch reaches on the test part.
    """
    log = EventLog(run.folder)
    log.reload()
    last = {tag: float(each.values[-1]) for tag, each in log.history().scalars.items()}
    parts = ("train", "val", "test")
    found = {f"{p}_{m}": last[f"{p}/{m}"] for p in parts for m in ("loss", "accuracy")}
    found["gap"] = found["val_loss"] - found["train_loss"]
    rounded = {name: round(value, 4) for name, value in found.items()}
    return {**rounded, "best_epoch": run.status.best_epoch, "seconds": round(run.status.seconds, 1)}


def records(data: bytes) -> Iterator[bytes]:
    """The records of an event file, as they lie in it."""
    at = 0
    while at < len(data):
        end = at + _HEADER + int.from_bytes(data[at : at + 8], "little") + _CHECKSUM
        yield data[at:end]
        at = end


def _halve(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    save_file({n: t.half() if t.is_floating_point() else t for n, t in weights.items()}, path)


def _kept(record: bytes, every: int) -> bool:
    """Whether a record is more than numbers of an update that is left out."""
    from tensorboard.compat.proto.event_pb2 import Event

    event = Event.FromString(record[_HEADER:-_CHECKSUM])
    of_update = [value.tag.startswith("step/") for value in event.summary.value]
    return not (of_update and all(of_update)) or event.step % every == 0


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
