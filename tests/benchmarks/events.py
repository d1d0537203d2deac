"""Reading event files against TensorBoard's own reader: ``python tests/benchmarks/events.py``.

1,000,000 numbers over 20 tags, one to an event as plain SummaryWriter writes them: first 99 % of
the file, then the last 1 % as it is added. Both readers take turns; ``--quick`` reads 100,000.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from eventlogs import NAME, event, peer, scalar
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.training.events import EventLog

TAGS = [f"{part}/{name}" for part in ("train", "val") for name in "abcdefghij"]


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def content(count: int) -> tuple[bytes, bytes]:
    """An event file of ``count`` numbers, in two parts."""
    values = np.random.default_rng(0).normal(size=count)
    made = [event(wall_time=1.0, file_version="brain.Event:2")]
    made.extend(
        scalar(TAGS[index % len(TAGS)], index // len(TAGS), value, 1.7e9 + index / 64)
        for index, value in enumerate(values.tolist())
    )
    cut = len(made) - count // 100
    return b"".join(made[:cut]), b"".join(made[cut:])


def equal(ours: EventLog, theirs: EventAccumulator) -> bool:
    """Whether both found the same steps, times and values."""
    history = ours.history()
    if sorted(history.scalars) != sorted(theirs.Tags()["scalars"]):
        return False
    return all(
        np.array_equal(
            np.stack([series.steps, series.seconds, series.values], axis=1),
            np.array([(e.step, e.wall_time, e.value) for e in theirs.Scalars(tag)]),
        )
        for tag, series in history.scalars.items()
    )


def main() -> int:
    """Print the times and ratios; 1 when values differ or an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 numbers, once")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    count, repeats = (100_000, 1) if options.quick else (1_000_000, options.repeats)
    head, tail = content(count)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    same = True
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / NAME
            path.write_bytes(head)
            log = EventLog(Path(folder))
            first = seconds(lambda log=log: (log.reload(), log.history()))
            readers: list[EventAccumulator] = []
            their_first = seconds(lambda at=path, to=readers: to.append(peer(at.parent)))
            with path.open("ab") as file:
                file.write(tail)
            ours.append((first, seconds(lambda log=log: (log.reload(), log.history()))))
            theirs.append((their_first, seconds(readers[0].Reload)))
            same = same and equal(log, readers[0])
    print(f"{count:,} numbers over {len(TAGS)} tags, {len(head) + len(tail):,} bytes")
    print(f"{'':<14} {'ours (s)':>9} {'theirs (s)':>11} {'theirs ÷ ours':>14} {'spread':>12}")
    ratios = []
    for row, name in enumerate(("first 99 %", "last 1 %")):
        each = [their[row] / our[row] for our, their in zip(ours, theirs, strict=True)]
        our, their = median(o[row] for o in ours), median(t[row] for t in theirs)
        ratios.append(median(each))
        spread = f"{min(each):.1f}–{max(each):.1f}"
        print(f"{name:<14} {our:>9.4f} {their:>11.3f} {ratios[-1]:>14.1f} {spread:>12}")
    print(f"last 1 %, ours ÷ theirs: {1 / ratios[1]:.3f} (aim 0.15); values equal: {same}")
    return 0 if same and ratios[0] >= 10 and ratios[1] >= 1 / 0.15 else 1


if __name__ == "__main__":
    sys.exit(main())
