"""A capture as one safetensors file, written layer by layer: it may be larger than memory.

The format is 8 bytes with the length of a JSON header, the header, and the tensors one after the
other (github.com/huggingface/safetensors). The library writes only what is in memory as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.errors import StorageError

if TYPE_CHECKING:
    from core.results.activations import Capture

_NAMES = {"float16": "F16", "float32": "F32", "int64": "I64"}
_TOGETHER = 16 * 2**20  # bytes copied at a time


def write_tensors(made: Capture, path: Path) -> None:
    """All layers by name ``[example, unit, …]``, and ``scores``, ``labels``; the metadata holds the
    ids as a JSON list, the model, the data and their fingerprints.

    Raises ``StorageError`` when it cannot be written.
    """
    arrays = dict(_arrays(made))
    header: dict[str, Any] = {
        "__metadata__": {
            "ids": json.dumps(list(made.ids), ensure_ascii=False),
            "classes": json.dumps(list(made.classes), ensure_ascii=False),
            "model": made.model,
            "weights_sha256": made.weights,
            "data": made.data.name,
            "data_fingerprint": made.data.fingerprint,
            "provenance": json.dumps(dict(made.provenance)),
        }
    }
    end = 0
    for name, values in arrays.items():
        begin, end = end, end + values.nbytes
        kind = _NAMES[values.dtype.name]
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "backslashreplace")
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for values in arrays.values():
                rows = max(1, _TOGETHER // max(1, values.nbytes // max(1, len(values))))
                for start in range(0, len(values), rows):
                    file.write(np.ascontiguousarray(values[start : start + rows]).data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"'{path}' cannot be written: {error.strerror or error}.",
            "Free some space; the .npy files beside it hold the same.",
        ) from error


def _arrays(made: Capture) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for layer in made.layers:
        yield layer.name, made.layer(layer.name)
    yield "scores", made.scores
    if made.labels is not None:
        yield "labels", made.labels
