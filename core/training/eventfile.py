"""Writing TensorBoard's event files, which `tensorboard --logdir` and many others open.

A file is a sequence of records, each an event in protocol buffers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import StorageError
from core.training.records import record

PREFIX = "events.out.tfevents."
PLUGIN = "fluoroscope"


class EventWriter:
    """Appends events to a new file in ``folder``.

    ``first_step > 0`` says that training goes on from there: readers forget what older files hold
    at that step and after it. Nothing reaches the disk for certain before ``flush``.

    Raises ``StorageError`` where the file cannot be written.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self.path = folder / f"{PREFIX}{_stamp(folder):010d}.{PLUGIN}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb")
        except OSError as error:
            raise self._unwritable(error) from error
        self._event = Event
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if first_step > 0:
            begun = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=first_step, session_log=begun))

    def scalars(self, step: int, values: Mapping[str, float], seconds: float | None = None) -> None:
        """Numbers by tag, all of one step; ``seconds`` is Unix time, by default now."""
        self._summary(
            step, [{"tag": t, "simple_value": float(v)} for t, v in values.items()], seconds
        )

    def histogram(
        self,
        step: int,
        tag: str,
        edges: npt.NDArray[np.float64],
        counts: npt.NDArray[np.float64],
        *,
        minimum: float,
        maximum: float,
        total: float,
        sum_of_squares: float,
    ) -> None:
        """A distribution: ``counts[i]`` values lie between ``edges[i]`` and ``edges[i + 1]``;
        ``total`` is their sum.
        """
        histogram = {
            "min": minimum,
            "max": maximum,
            "num": float(np.sum(counts)),
            "sum": total,
            "sum_squares": sum_of_squares,
            # TensorBoard's buckets have an upper limit each; the empty first one gives the lower.
            "bucket_limit": [float(edge) for edge in edges],
            "bucket": [0.0, *(float(count) for count in counts)],
        }
        self._summary(step, [{"tag": tag, "histo": histogram}])

    def text(self, step: int, tag: str, text: str) -> None:
        """A text, read by TensorBoard as Markdown."""
        tensor = {"dtype": 7, "string_val": [text.encode()], "tensor_shape": _shape((1,))}
        self._tensor(step, tag, tensor, "text")

    def image(self, step: int, tag: str, png: bytes, height: int, width: int) -> None:
        """An encoded picture."""
        picture = {"height": height, "width": width, "colorspace": 3, "encoded_image_string": png}
        self._summary(step, [{"tag": tag, "image": picture}])

    def array(self, step: int, tag: str, values: npt.ArrayLike) -> None:
        """Numbers of any shape, as float64."""
        array = np.ascontiguousarray(values, dtype="<f8")
        content = {"dtype": 2, "tensor_content": array.tobytes()}
        self._tensor(step, tag, {**content, "tensor_shape": _shape(array.shape)}, PLUGIN)

    def flush(self, durable: bool = True) -> None:
        """Show everything so far to readers, and bring it to the disk where it shall be
        ``durable``.
        """
        try:
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Flush and close; may be called again."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                with suppress(OSError):  # of what could not be flushed: that was said above
                    self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tensor(self, step: int, tag: str, tensor: dict[str, Any], plugin: str) -> None:
        metadata = {"plugin_data": {"plugin_name": plugin}}
        self._summary(step, [{"tag": tag, "tensor": tensor, "metadata": metadata}])

    def _summary(
        self, step: int, values: list[dict[str, Any]], seconds: float | None = None
    ) -> None:
        now = time.time() if seconds is None else seconds
        self._write(self._event(wall_time=now, step=step, summary={"value": values}))

    def _write(self, event: Any) -> None:
        try:
            self._file.write(record(event.SerializeToString()))
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(
            f"'{self.path.name}' cannot be written: {error.strerror or error}.",
            "Free some space or mend the folder's permissions, then resume.",
        )


def _shape(sizes: tuple[int, ...]) -> dict[str, Any]:
    return {"dim": [{"size": size} for size in sizes]}


def _stamp(folder: Path) -> int:
    """Seconds for the name of a new file, later than those of the files there: readers take them in
    the order of their names.
    """
    taken = [path.name.removeprefix(PREFIX)[:10] for path in folder.glob(f"{PREFIX}*")]
    return max([int(time.time()), *(int(stamp) + 1 for stamp in taken if stamp.isdecimal())])


def lengths(folder: Path) -> dict[str, int]:
    """Bytes of every event file in a folder, by name: what ``roll_back`` takes."""
    return {path.name: path.stat().st_size for path in folder.glob(f"{PREFIX}*")}


def roll_back(folder: Path, known: Mapping[str, int]) -> None:
    """Cut the event files of a folder back to these lengths, and remove those that came later: what
    they say will be said again.
    """
    for path in folder.glob(f"{PREFIX}*"):
        if path.name not in known:
            path.unlink()
        elif path.stat().st_size > known[path.name]:
            os.truncate(path, known[path.name])
