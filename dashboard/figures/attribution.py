"""Attributions of one example side by side, over the picture or alone, on one colour scale."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.utils import image_array_to_data_uri

from core.results import Attribution
from dashboard.figures.caption import escaped, method_title
from dashboard.figures.panels import WIDTH, Grid, Panel, axis, panel_figure
from dashboard.theme import MAGNITUDE, signed, template, translucent

Mode = Literal["overlay", "map"]
Sign = Literal["both", "positive", "negative"]
Picture = npt.NDArray[np.uint8]

# Colours end at this percentile of |value|, so that a few extreme pixels do not hide the others.
CLIP = 98
_COMPUTING = "computing…"
_ASKING = "not computed yet"
_LOGITS = "logits"
# A map whose strongest pixels reach less than this share of the shared limit looks empty.
_FAINT = 0.05


def attribution_maps(
    attributions: Sequence[Attribution | None],
    *,
    picture: Picture | None = None,
    pending: Sequence[str] = (),
    mode: Mode = "overlay",
    sign: Sign = "both",
    opacity: float = 0.7,
    shared_scale: bool = True,
    dark: bool = False,
    columns: int | None = None,
    width: int = WIDTH,
    caption: str | None = None,
    titles: Mapping[str, str] | None = None,
    unsigned: Collection[str] = (),
    units: Mapping[str, str] | None = None,
    asking: Collection[str] = (),
) -> go.Figure:
    """The input, then one panel per attribution, and a quiet one per title in ``pending``: where
    ``attributions`` holds None, else at the end. Those in ``asking`` wait for a person.

    ``picture`` is uint8 ``[row, column, 3]``, by default that of the first attribution. Each map is
    ``Attribution.heatmap`` untouched; ``sign`` and the clipping of colours at the 98th percentile
    of ``|value|`` only choose colours. Orange speaks for the target, blue against it. With
    ``shared_scale`` all maps of one unit (``units`` by method, else logits) have the largest of
    their limits; the bar tells that of the first unit, and the others, like all maps without
    ``shared_scale``, have theirs written below. Methods named in ``unsigned`` have magnitudes only:
    they are drawn in cividis from 0, each to a limit of its own. ``titles`` names methods,
    ``caption`` is a line below the figure. The height depends on the number and the shape of the
    panels only, so that nothing moves when a pending one arrives.
    """
    slots = [*attributions, *[None] * (len(pending) - list(attributions).count(None))]
    places = [place for place, each in enumerate(slots, start=1) if each is not None]
    real = [each for each in slots if each is not None]
    if picture is None and real:
        picture = real[0].picture
    shape = picture.shape[:2] if picture is not None else (1, 1)
    plain = [each.method in unsigned for each in real]
    kinds = [(units or {}).get(each.method, _LOGITS) for each in real]
    reaches = [_limit(each.heatmap) for each in real]
    limits = _shared(reaches, kinds, plain) if shared_scale else reaches
    ruled = [place for place, magnitude in enumerate(plain) if not magnitude]
    ruling = next(
        (kinds[i] for i in ruled if kinds[i] == _LOGITS), kinds[ruled[0]] if ruled else ""
    )
    filled = []
    for each, kind, magnitude, reach, limit in zip(
        real, kinds, plain, reaches, limits, strict=True
    ):
        note = ""
        if not shared_scale or magnitude or kind != ruling:
            note = f"0 to {limit:.2g}" if magnitude else f"±{limit:.2g}"
        elif reach < _FAINT * limit:
            note = "faint on this scale"
        filled.append(Panel(_title(each, titles), _notes(each, note)))
    empty = [Panel(title, (), _COMPUTING if title not in asking else _ASKING) for title in pending]
    panels = [Panel("Input", hint="" if picture is not None else "…")]
    panels += [(empty if each is None else filled).pop(0) for each in slots]
    figure, grid = panel_figure(
        panels,
        (shape[0], shape[1]),
        note_lines=4,
        columns=columns,
        width=width,
        footer=caption or "",
        dark=dark,
    )
    figure.layout.template = template(dark)
    if picture is not None:
        _share(figure, picture, dark)
        hover = "row %{y} · column %{x}<br>RGB %{z}<extra></extra>"
        figure.add_trace(go.Image(source=_source(picture), hovertemplate=hover))
    for index, each, limit, magnitude in zip(places, real, limits, plain, strict=True):
        shared = picture is not None and np.array_equal(_seen(each), picture)
        if mode == "overlay":
            own = {} if shared else {"source": _source(_grey(_seen(each), dark))}
            place = {"xaxis": axis("x", index), "yaxis": axis("y", index)}
            figure.add_trace(go.Image(**place, **own, hoverinfo="skip"))
        if magnitude:
            drawn = _magnitudes(each, index, limit, mode=mode, opacity=opacity)
        else:
            drawn = _map(each, index, limit, mode=mode, sign=sign, opacity=opacity, dark=dark)
        figure.add_trace(drawn)
        if not shared:
            figure.data[-1].customdata = _pixels(_seen(each))[0]
        figure.data[-1].meta = [escaped(panels[index].title), escaped(each.target.title)]
    maps = [trace for trace in figure.data if trace.type == "heatmap" and trace.name != "pending"]
    if ruled:
        last = [place for place in ruled if kinds[place] == ruling][-1]
        maps[last].showscale = True
        maps[last].colorbar = _bar(grid, limits[last], sign, shared_scale, ruling)
    return figure


def _limit(values: npt.NDArray[np.float32]) -> float:
    sizes = np.abs(values[np.isfinite(values)])
    if not sizes.size or not sizes.max():
        return 1.0
    return float(np.percentile(sizes, CLIP) or sizes.max())


def _title(attribution: Attribution, titles: Mapping[str, str] | None) -> str:
    return (titles or {}).get(attribution.method) or method_title(attribution.method)


def _shared(limits: Sequence[float], kinds: Sequence[str], plain: Sequence[bool]) -> list[float]:
    """One limit for all signed maps of a unit: the largest of theirs."""
    largest: dict[str, float] = {}
    for limit, kind, magnitude in zip(limits, kinds, plain, strict=True):
        if not magnitude:
            largest[kind] = max(limit, largest.get(kind, 0.0))
    several = zip(limits, kinds, plain, strict=True)
    return [limit if magnitude else largest[kind] for limit, kind, magnitude in several]


def _notes(attribution: Attribution, note: str) -> tuple[str, ...]:
    label = attribution.target.title
    fit = "approx." if attribution.fit.level == "approximate" else attribution.fit.level
    lines = [
        f"target {label}" if label.isdecimal() else label,
        f"{fit} · {_duration(attribution.provenance.seconds)}",
    ]
    if attribution.delta is not None:
        lines.append(f"delta {_number(attribution.delta)}")
    return (*lines, note) if note else tuple(lines)


def _duration(seconds: float) -> str:
    return "<0.01 s" if seconds < 0.005 else f"{seconds:.{2 if seconds < 1 else 1}f} s"


def _number(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−") if value else "0"


def _seen(attribution: Attribution) -> Picture:
    """The picture that an image's attribution lies over."""
    if attribution.picture is None:
        raise ValueError(f"'{attribution.example}' has no picture: it is not an image")
    return attribution.picture


def _share(figure: go.Figure, picture: Picture, dark: bool) -> None:
    """What lies under every map and what each tells of the input, in the template: once, and not
    with each map. A figure goes to the browser whenever anything on the page changes.
    """
    defaults = figure.layout.template.data
    defaults.image = [go.Image(source=_source(_grey(picture, dark)))]
    defaults.heatmap[0].customdata = _pixels(picture)[0]


def _source(picture: Picture) -> str:
    uri: str = image_array_to_data_uri(picture, backend="pypng", compression=6)
    return uri


def _grey(picture: Picture, dark: bool) -> Picture:
    """Luma of ITU-R BT.601, faded towards the page so that colours stand out."""
    luma = picture @ np.array([0.299, 0.587, 0.114])
    faded = luma * 0.4 if dark else 255 - (255 - luma) * 0.3
    grey: Picture = faded.round().astype(np.uint8)
    return grey


def _map(
    attribution: Attribution,
    index: int,
    limit: float,
    *,
    mode: Mode,
    sign: Sign,
    opacity: float,
    dark: bool,
) -> go.Heatmap:
    scale = translucent(dark) if mode == "overlay" else signed(dark)
    low, high = {"both": (-1, 1), "positive": (0, 1), "negative": (-1, 0)}[sign]
    shown = _pixels(_seen(attribution))[1]
    return go.Heatmap(
        z=attribution.heatmap,
        zmin=low * limit,
        zmax=high * limit,
        colorscale=_part(scale, low, high),
        opacity=opacity if mode == "overlay" else 1.0,
        zsmooth=False,
        showscale=False,
        xaxis=axis("x", index),
        yaxis=axis("y", index),
        hovertemplate=(
            "<b>%{meta[0]}</b><br>%{meta[1]}<br>row %{y} · column %{x}<br>value %{z:.4g}"
            f"<br>input {shown}<br>colours end at ±{limit:.2g}<extra></extra>"
        ),
    )


def _magnitudes(
    attribution: Attribution, index: int, limit: float, *, mode: Mode, opacity: float
) -> go.Heatmap:
    return go.Heatmap(
        z=attribution.heatmap,
        zmin=0,
        zmax=limit,
        colorscale=MAGNITUDE,
        opacity=opacity if mode == "overlay" else 1.0,
        zsmooth=False,
        showscale=False,
        xaxis=axis("x", index),
        yaxis=axis("y", index),
        hovertemplate="<b>%{meta[0]}</b><br>%{meta[1]}<br>row %{y} · column %{x}"
        f"<br>value %{{z:.4g}}, no sign<br>input {_pixels(_seen(attribution))[1]}"
        f"<br>colours end at {limit:.2g}<extra></extra>",
    )


def _pixels(picture: Picture) -> tuple[Picture, str]:
    """Input pixels for the hover and how to write them: one number where the picture is grey."""
    if (picture == picture[..., :1]).all():
        return np.ascontiguousarray(picture[..., 0]), "%{customdata}"
    return picture, "RGB %{customdata[0]}, %{customdata[1]}, %{customdata[2]}"


def _part(scale: Sequence[tuple[float, str]], low: int, high: int) -> list[tuple[float, str]]:
    """The part of a scale over -1 … 1 between ``low`` and ``high``, stretched over 0 … 1."""
    start, end = (low + 1) / 2, (high + 1) / 2
    return [((at - start) / (end - start), c) for at, c in scale if start <= at <= end]


def _bar(grid: Grid, limit: float, sign: Sign, shared_scale: bool, unit: str) -> dict[str, Any]:
    """The one colour bar; with a scale of its own for each map it tells signs, not numbers."""
    low, high = sign != "positive", sign != "negative"
    ticks = [-limit] * low + [0.0] + [limit] * high
    words = [_number(tick) if shared_scale else "" for tick in ticks]
    if not shared_scale:
        words = ["against"] * low + ["0"] + ["for"] * high
    return {
        "title": {
            "text": (
                f"{unit}<br>clipped at<br>{CLIP}%" if shared_scale else "each its<br>own scale"
            )
            + "<br><span style='font-size:7px'> </span>",
            "font": {"size": 12},
        },
        "tickvals": ticks,
        "ticktext": words,
        "lenmode": "pixels",
        "len": max(min(grid.panel_height, 220), 110) + 40,
        "x": 1,
        "xpad": 14,
        "ypad": 0,
        "y": 1 - max(grid.head - 18, 0) / (grid.height - grid.footer),
        "yanchor": "top",
    }
