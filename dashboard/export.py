"""Figures and the numbers behind them as files. No Streamlit: the page and the command line share
this.

Every file carries a nonce, so that no two exports have equal bytes: Streamlit addresses large
downloads by a hash of parts of them, and two persons must never get each other's.
"""

from __future__ import annotations

import html
import io
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from PIL import Image, PngImagePlugin

from core.attribution.registry import METHODS
from core.errors import UnknownName
from core.provenance import Provenance
from core.results import Attribution, Prediction
from core.store import write_atomically
from dashboard import renderer
from dashboard.figures.caption import caption

FORMATS = ("png", "svg", "pdf", "html", "json", "plotly.json", "npz")
MIME = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "html": "text/html",
    "json": "application/json",
    "plotly.json": "application/json",
    "npz": "application/zip",
}
# Longer arrays belong into the npz.
_MOST_NUMBERS = 10_000
_WIDTH = 1000
_TITLES = {method.name: method.title for method in METHODS}


def export(
    figure: go.Figure,
    results: Sequence[Any],
    format_: str,
    *,
    document: Mapping[str, Any] | None = None,
    scale: float = 2,
    width: int = _WIDTH,
) -> bytes:
    """The file content of ``figure`` or of the ``results`` behind it in one of ``FORMATS``.

    ``document`` is what the JSON says, by default everything known of ``results``. ``width`` is in
    pixels of the page, ``scale`` multiplies them in a PNG.

    Raises ``UnknownName`` for another format, ``MissingExtra`` when a picture needs a browser and
    there is none.
    """
    if format_ not in FORMATS:
        raise UnknownName.of("format", format_, FORMATS)
    about = dict(document) if document is not None else {"results": [_plain(r) for r in results]}
    about["nonce"] = secrets.token_hex(8)
    writers: dict[str, Callable[[], bytes]] = {
        "png": lambda: _png(renderer.render(_framed(figure, results, width), "png", scale), about),
        "svg": lambda: _svg(renderer.render(_framed(figure, results, width), "svg", 1), about),
        "pdf": lambda: _pdf(renderer.render(_framed(figure, results, width), "pdf", 1), about),
        "html": lambda: _html(_framed(figure, results, None), about),
        "json": lambda: json.dumps(about, indent=2, allow_nan=False).encode(),
        "plotly.json": lambda: _plotly(figure, about),
        "npz": lambda: _npz(results, about),
    }
    return writers[format_]()


def write(
    path: Path,
    figure: go.Figure,
    results: Sequence[Any],
    format_: str,
    document: Mapping[str, Any] | None = None,
) -> None:
    """Write an export to ``path``: the whole file or none of it."""
    write_atomically(path, export(figure, results, format_, document=document))


def document(attributions: Sequence[Attribution], prediction: Prediction) -> dict[str, Any]:
    """What the JSON of an explanation says: the answer, then each attribution with its settings and
    provenance. With a single attribution its entries stand at the top as well.
    """
    entries = [_entry(attribution) for attribution in attributions]
    whole: dict[str, Any] = {
        "example": prediction.example,
        "prediction": [
            {
                "class": prediction.classes[index],
                "probability": float(prediction.probabilities[index]),
                "logit": float(prediction.logits[index]),
            }
            for index in prediction.top(5)
        ],
    }
    if len(entries) == 1:
        whole |= entries[0]
    whole["attributions"] = entries
    return whole


def _entry(attribution: Attribution) -> dict[str, Any]:
    target = attribution.target
    return {
        "method": attribution.method,
        "title": _TITLES.get(attribution.method, attribution.method),
        "target": {
            "title": target.title,
            "index": target.index,
            "class": target.label,
            "versus": target.versus,
        },
        "score": attribution.score,
        "baseline_score": attribution.baseline_score,
        "delta": attribution.delta,
        "sum": float(attribution.values.sum(dtype="float64")),
        "shape": list(attribution.values.shape),
        "settings": dict(attribution.settings),
        "fit": {"level": attribution.fit.level, "reason": attribution.fit.reason},
        "provenance": attribution.provenance.as_json(),
    }


def _plain(value: Any) -> Any:
    """A result as JSON values; arrays of more than 10,000 numbers only by shape and type."""
    if isinstance(value, Provenance):
        return value.as_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, np.ndarray):
        if value.size <= _MOST_NUMBERS:
            return value.tolist()
        return {"shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _framed(figure: go.Figure, results: Sequence[Any], width: int | None) -> go.Figure:
    """A copy with margins, a solid background and a caption below: what a page gives a figure."""
    framed = go.Figure(figure)
    margin = framed.layout.margin
    words = caption(results[0]) if results else ""
    per_line = 150 if width is None else max(40, width // 7)
    lines = _lines(words, per_line)
    right, below = margin.r or 0, (margin.b or 0) + 24 + 15 * len(lines)
    added = {"l": (margin.l or 0) + 20, "r": right + 20, "t": (margin.t or 0) + 20, "b": below}
    framed.update_layout(margin=added, autosize=width is None, width=width)
    if framed.layout.height:
        framed.layout.height += 44 + 15 * len(lines)
    if lines:
        framed.add_annotation(
            text="<br>".join(html.escape(line) for line in lines),
            xref="paper",
            yref="paper",
            x=0,
            y=0,
            yshift=-(margin.b or 0) - 14,
            xanchor="left",
            yanchor="top",
            align="left",
            showarrow=False,
            font={"size": 11},
        )
    return framed


def _lines(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width) if text else []


def _embedded(about: Mapping[str, Any]) -> str:
    """JSON that is harmless inside HTML and XML, whatever a file was called."""
    text = json.dumps(about, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _png(data: bytes, about: Mapping[str, Any]) -> bytes:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("fluoroscope", json.dumps(about, allow_nan=False))
        buffer = io.BytesIO()
        image.save(buffer, "PNG", pnginfo=notes)
    return buffer.getvalue()


def _svg(data: bytes, about: Mapping[str, Any]) -> bytes:
    text = data.decode()
    return re.sub(
        r"(<svg\b[^>]*>)",
        lambda match: f"{match[1]}<metadata>{_embedded(about)}</metadata>",
        text,
        count=1,
    ).encode()


def _pdf(data: bytes, about: Mapping[str, Any]) -> bytes:
    """A comment after the end of a PDF is ignored by readers."""
    return data.rstrip(b"\n") + b"\n%" + json.dumps(about, allow_nan=False).encode() + b"\n%%EOF\n"


def _html(figure: go.Figure, about: Mapping[str, Any]) -> bytes:
    page = pio.to_html(figure, include_plotlyjs=True, full_html=True, config={"displaylogo": False})
    title = f"<title>Fluoroscope</title><script type=application/json>{_embedded(about)}</script>"
    text: str = page.replace("<head>", f"<head>{title}", 1)
    return text.encode()


def _plotly(figure: go.Figure, about: Mapping[str, Any]) -> bytes:
    named = go.Figure(figure)
    named.layout.meta = {"fluoroscope": dict(about)}
    text: str = named.to_json()
    return text.encode()


def _npz(results: Sequence[Any], about: Mapping[str, Any]) -> bytes:
    """Every array of every result by its field's name, numbered where there are several results."""
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about, allow_nan=False))}
    for number, result in enumerate(results):
        for item in fields(result):
            value = getattr(result, item.name)
            if isinstance(value, np.ndarray):
                arrays[item.name if len(results) == 1 else f"{item.name}_{number}"] = value
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
