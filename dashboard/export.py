"""Figures and the numbers behind them as files. No Streamlit: the page and the command line share
this.

Every file carries a nonce, so that no two exports have equal bytes: Streamlit addresses large
downloads by a hash of parts of them, and two persons must never get each other's.
"""

from __future__ import annotations

import html
import io
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from core.attribution.registry import METHODS
from core.errors import UnknownName
from core.results import Attribution, Prediction
from core.results.levels import at_level
from core.store import write_atomically
from core.tasks import Columns, Tokens
from dashboard import renderer
from dashboard.figures.caption import caption
from dashboard.framing import framed, look
from dashboard.metadata import embedded, pdf, plain, png, svg

MIME = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "html": "text/html",
    "json": "application/json",
    "plotly.json": "application/json",
    "npz": "application/zip",
}
FORMATS = tuple(MIME)
_WIDTH = 1000
_TITLES = {method.name: method.title for method in METHODS}
_USUAL = {
    method.name: {each.name: each.default for each in method.parameters} for method in METHODS
}
# An exported page may run its own scripts and ask nobody for anything. WebGL traces of Plotly are
# compiled while they draw, which needs eval.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:; form-action 'none'; base-uri 'none'"
)


def export(
    figure: go.Figure,
    results: Sequence[Any],
    format_: str,
    *,
    document: Mapping[str, Any] | None = None,
    scale: float = 2,
    width: int | None = None,
) -> bytes:
    """The file content of ``figure`` or of the ``results`` behind it in one of ``FORMATS``.

    ``document`` is what the JSON says, by default everything known of ``results``; the other
    formats carry it as metadata. ``width`` is in pixels of the page, by default the figure's own or
    1000; ``scale`` multiplies them in a PNG.

    Raises ``UnknownName`` for another format, ``MissingExtra`` when a picture needs a browser and
    there is none.
    """
    if format_ not in FORMATS:
        raise UnknownName.of("format", format_, FORMATS)
    about = plain(document if document is not None else _described(results))
    about["nonce"] = secrets.token_hex(8)
    if format_ == "json":
        return json.dumps(about, indent=2, allow_nan=False).encode()
    if format_ == "npz":
        return _npz(results, about)
    if format_ == "plotly.json":
        return _plotly(figure, about)
    if format_ == "html":
        return _html(_framed(figure, results, None), about)
    drawn = _framed(figure, results, width or figure.layout.width or _WIDTH)
    data = renderer.render(drawn, format_, scale if format_ == "png" else 1)
    return {"png": png, "svg": svg, "pdf": pdf}[format_](data, about)


def write(
    path: Path,
    figure: go.Figure,
    results: Sequence[Any],
    format_: str,
    document: Mapping[str, Any] | None = None,
) -> None:
    """Write an export to ``path``: the whole file or none of it."""
    write_atomically(path, export(figure, results, format_, document=document), 0o666)


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
        **_words(attribution),
    }


def _words(attribution: Attribution) -> dict[str, Any]:
    """What each token and each word of a text got, with their characters in it; or each column of a
    row.
    """
    axis = attribution.axis
    if isinstance(axis, Columns):
        each = zip(axis.names, axis.values, attribution.values, strict=True)
        return {"columns": [{"column": n, "text": t, "value": float(v)} for n, t, v in each]}
    if not isinstance(axis, Tokens):
        return {}
    found: dict[str, Any] = {"text": axis.text}
    for level in ("token", "word"):
        groups = at_level(axis, attribution.values, level)
        found[f"{level}s"] = [
            {"text": label, "start": start, "end": end, "part": part, "value": float(value)}
            for label, (start, end), part, value in zip(
                groups.labels, groups.spans, groups.parts, groups.values, strict=True
            )
        ]
    return found


def _described(results: Sequence[Any]) -> dict[str, Any]:
    """All that is known of ``results``; the provenance of a single one stands at the top."""
    whole: dict[str, Any] = {"results": list(results)}
    if len(results) == 1 and hasattr(results[0], "provenance"):
        whole["provenance"] = results[0].provenance
    return whole


def _framed(figure: go.Figure, results: Sequence[Any], width: int | None) -> go.Figure:
    known = [result for result in results if hasattr(result, "provenance")]
    words = caption(known, titles=_TITLES, defaults=_USUAL) if known else ""
    return framed(figure, words, width)


def _html(figure: go.Figure, about: Mapping[str, Any]) -> bytes:
    page: str = pio.to_html(
        figure, include_plotlyjs=True, full_html=True, config={"displaylogo": False}
    )
    paper = look(figure, "paper_bgcolor") or "#ffffff"
    head = (
        '<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width"><title>Fluoroscope</title>'
        '<link rel="icon" href="data:,">'
        f"<style>body {{ margin: 0; background: {html.escape(paper)}; }}</style>"
        f'<script type="application/json" id="fluoroscope">{embedded(about)}</script>'
    )
    return page.replace("<head>", head, 1).encode()


def _plotly(figure: go.Figure, about: Mapping[str, Any]) -> bytes:
    named = go.Figure(figure)
    named.layout.meta = {"fluoroscope": dict(about)}
    text: str = named.to_json()
    return text.encode()


def _arrays(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Arrays in dataclasses, mappings and sequences, by the path to them."""
    if isinstance(value, np.ndarray) and name:
        yield name, value
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            yield from _arrays(getattr(value, item.name), f"{name}/{item.name}".lstrip("/"))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _arrays(each, f"{name}/{key}")
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from _arrays(each, f"{name}/{number}")


def _npz(results: Sequence[Any], about: Mapping[str, Any]) -> bytes:
    """Every array of every result by its field's name (``scalars/train/loss/values`` where it lies
    deeper), numbered where there are several results; ``provenance`` is the document as JSON text.
    No pickle.
    """
    arrays: dict[str, Any] = {"provenance": np.array(json.dumps(about, allow_nan=False))}
    for number, result in enumerate(results):
        for name, value in _arrays(result, ""):
            arrays[name if len(results) == 1 else f"{name}_{number}"] = value
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
