"""Event files for tests: written by others' protocol buffers, read by TensorBoard's own reader."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util.tensor_util import make_ndarray

from core.results import History
from core.training.events import EventLog
from core.training.records import record

NAME = "events.out.tfevents.1700000000.machine"


def scalar(tag: str, step: int, value: float, seconds: float = 1.5) -> bytes:
    """The record of one number, in the form of TensorFlow 1 and PyTorch."""
    return summary(step, [{"tag": tag, "simple_value": value}], seconds)


def summary(step: int, values: list[dict[str, Any]], seconds: float = 1.5) -> bytes:
    """The record of a summary."""
    return event(wall_time=seconds, step=step, summary={"value": values})


def tensor(tag: str, content: dict[str, Any], plugin: str = "") -> dict[str, Any]:
    """A value of a summary in the form of TensorFlow 2 and Keras."""
    value: dict[str, Any] = {"tag": tag, "tensor": content}
    if plugin:
        value["metadata"] = {"plugin_data": {"plugin_name": plugin}}
    return value


def event(**fields: Any) -> bytes:
    """The record of any event."""
    return record(Event(**fields).SerializeToString())


def write(folder: Path, records: Iterable[bytes], name: str = NAME) -> Path:
    """An event file of these records."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"".join(records))
    return path


def read(folder: Path) -> History:
    """What our reader finds in a folder."""
    log = EventLog(folder)
    log.reload()
    return log.history()


def points(history: History) -> dict[str, list[tuple[int, float, float]]]:
    """Step, seconds and value of every number, by tag."""
    return {
        tag: list(
            zip(series.steps.tolist(), series.seconds.tolist(), series.values.tolist(), strict=True)
        )
        for tag, series in history.scalars.items()
    }


def peer(folder: Path) -> EventAccumulator:
    """TensorBoard's reader, told to keep everything."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    kinds = ("scalars", "histograms", "images", "tensors")
    reader = EventAccumulator(str(folder), size_guidance=dict.fromkeys(kinds, 0))
    reader.Reload()
    return reader


def peer_points(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Step, seconds and value of every number that TensorBoard's reader finds, by tag, in the order
    of steps.
    """
    reader = peer(folder)
    found = {
        tag: [(e.step, e.wall_time, e.value) for e in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }
    for tag in reader.Tags()["tensors"]:
        if reader.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            found[tag] = [
                (e.step, e.wall_time, float(np.float64(make_ndarray(e.tensor_proto))))
                for e in reader.Tensors(tag)
            ]
    return {tag: sorted(found[tag], key=lambda point: point[0]) for tag in sorted(found)}
