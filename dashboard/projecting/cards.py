"""What is shown of a point under the pointer: its picture or text, and what the model makes of it.

One file for all points, fetched by the browser when the pointer first rests on one.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from streamlit import runtime

from core.data.dataset import Dataset
from core.results.activations import Capture
from core.tasks import Task
from dashboard import thumbnails
from dashboard.wording import words

MOST = 20_000  # examples; of more only the number is shown
_MOST_PICTURES = 4_000
_SIZE = 56  # pixels of a side at most
_ACROSS = 40  # pictures in a row
_LETTERS = 160


def cards(data: Dataset, capture: Capture, task: Task, picture: Callable[[int], bytes]) -> bytes:
    """JSON: ``lines`` of words, one per example, and ``texts``, or pictures side by side in an
    ``atlas`` of ``across`` columns, each ``size`` pixels wide and high. ``picture`` gives the file
    of a row that may be decoded here, or nothing.
    """
    found: dict[str, Any] = {"lines": _lines(data, capture)}
    rows = range(len(data))
    if task is not Task.IMAGE_CLASSIFICATION:
        found["texts"] = [words(each.data, task.axis, _LETTERS) for each in data.examples(rows)]
    elif len(data) <= _MOST_PICTURES:
        found |= _atlas(len(data), picture)
    return json.dumps(found).encode()


def address(content: bytes) -> str:
    """Where the browser can fetch them, as long as this session shows them."""
    if not runtime.exists():
        return ""
    return runtime.get_instance().media_file_mgr.add(content, "application/json", "cards")


def _lines(data: Dataset, capture: Capture) -> list[str]:
    names, labels = capture.classes, capture.labels
    lines = []
    for row, said in enumerate(capture.predictions if names else []):
        share = f"{capture.confidence[row]:.0%}"
        if labels is None or labels[row] < 0:
            lines.append(f"{names[said]} · {share}")
        elif labels[row] == said:
            lines.append(f"{names[said]}, right · {share}")
        else:
            lines.append(f"{names[labels[row]]}, taken for {names[said]} · {share}")
    return lines or [str(each) for each in data.ids]


def _atlas(count: int, picture_of: Callable[[int], bytes]) -> dict[str, Any]:
    size = 0
    sheet = np.empty(0)
    for row in range(count):
        image = thumbnails.decoded(picture_of(row))
        if image is None:
            continue
        if not size:
            size = min(_SIZE, max(image.size))
            rows = -(-count // _ACROSS)
            sheet = np.zeros((rows * size, _ACROSS * size, 3), np.uint8)
        picture = image.convert("RGB").resize((size, size), Image.Resampling.BOX)
        top, left = row // _ACROSS * size, row % _ACROSS * size
        sheet[top : top + size, left : left + size] = np.asarray(picture)
    if not size:
        return {}
    buffer = io.BytesIO()
    picture = Image.fromarray(sheet)
    if (sheet == sheet[:, :, :1]).all():
        picture = picture.convert("L")
    small = size < _SIZE
    picture.save(buffer, "PNG" if small else "JPEG", quality=80)
    kind = "png" if small else "jpeg"
    coded = base64.b64encode(buffer.getvalue()).decode()
    return {"atlas": f"data:image/{kind};base64,{coded}", "size": size, "across": _ACROSS}
