"""Maps as figures, for exports: one, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.results import Projection
from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, accent, class_colour, greys, template

METHODS = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}
_SYMBOLS = ("circle", "square", "diamond", "cross")
_HUES = 7
_MOST_NAMED = 20


def projection_map(
    projections: Sequence[Projection],
    values: npt.NDArray[np.generic] | None = None,
    names: Sequence[str] = (),
    *,
    colour: str = "",
    marked: bool = True,
    picked: npt.NDArray[np.bool_] | None = None,
    titles: Sequence[str] = (),
    dark: bool = False,
) -> go.Figure:
    """Maps of the same examples side by side. ``values`` ``[example]`` are positions in ``names``
    (-1 for none) or, where there are none, magnitudes called ``colour``. Points with false
    neighbours are ringed when ``marked``; with ``picked`` bool ``[example]`` the others are faint.
    Of more than twenty names the most frequent keep a colour.
    """
    flat = projections[0].points.shape[1] == 2
    kind = "xy" if flat else "scene"
    figure = make_subplots(
        rows=1,
        cols=len(projections),
        specs=[[{"type": kind}] * len(projections)],
        subplot_titles=[escaped(each) for each in titles] or None,
        horizontal_spacing=0.03,
    )
    groups = _groups(len(projections[0].ids), values, names)
    for place, projection in enumerate(projections, start=1):
        for name, mask, look in groups:
            _points(figure, projection, place, mask, picked, name, look, colour)
        if marked and projection.trust is not None and flat and projection.trust.marked.any():
            ringed = projection.points[projection.trust.marked]
            figure.add_trace(
                go.Scattergl(
                    x=ringed[:, 0],
                    y=ringed[:, 1],
                    mode="markers",
                    marker={
                        "symbol": "circle-open",
                        "size": 11,
                        "color": greys(dark).text,
                        "line": {"width": 1},
                    },
                    name="false neighbours",
                    hoverinfo="skip",
                    showlegend=place == 1,
                ),
                row=1,
                col=place,
            )
        if flat:
            _axes(figure, projection, place)
    figure.update_layout(
        template=template(dark),
        height=560,
        margin={"l": 16, "r": 16, "t": 60, "b": 60},
        title={"text": f"<b>{escaped(_title(projections[0]))}</b>", "x": 0.012},
        legend={"y": -0.02, "yanchor": "top", "itemsizing": "constant"},
    )
    if values is None:
        figure.update_traces(marker_color=accent(dark), selector={"name": ""})
    return figure


Group = tuple[str, npt.NDArray[np.bool_], dict[str, object]]


def _groups(
    count: int, values: npt.NDArray[np.generic] | None, names: Sequence[str]
) -> list[Group]:
    """Names with the examples that have them and how these look; one group for magnitudes."""
    everyone = np.ones(count, bool)
    if values is None:
        return [("", everyone, {})]
    if not names:
        known = np.asarray(values, np.float64)
        return [("", everyone, {"color": known, "colorscale": MAGNITUDE, "showscale": True})]
    given = np.asarray(values, np.int64)
    counts = np.bincount(given[given >= 0], minlength=len(names))
    frequent = np.sort(np.argsort(-counts, kind="stable")[:_MOST_NAMED])
    chosen = [int(name) for name in frequent if counts[name]]
    groups: list[Group] = []
    rest = ~np.isin(given, chosen)
    if rest.any():
        groups.append(("others", rest, {"color": "#9aa0a6", "symbol": "circle"}))
    for place, name in enumerate(chosen):
        tone = name if len(names) <= _MOST_NAMED else place
        look: dict[str, object] = {
            "color": class_colour(tone),
            "symbol": _SYMBOLS[tone // _HUES % len(_SYMBOLS)],
        }
        groups.append((str(names[name]), given == name, look))
    return groups


def _points(
    figure: go.Figure,
    projection: Projection,
    place: int,
    mask: npt.NDArray[np.bool_],
    picked: npt.NDArray[np.bool_] | None,
    name: str,
    look: dict[str, object],
    colour: str,
) -> None:
    points = projection.points[mask]
    look = dict(look)
    if isinstance(look.get("color"), np.ndarray):
        look |= {"colorbar": {"title": {"text": escaped(colour)}, "thickness": 12}}
        look["showscale"] = place == 1
    opacity: object = 0.85
    if picked is not None and len(points):
        opacity = np.where(picked[mask], 0.9, 0.12)
    ids = [escaped(elided(projection.ids[row], 40)) for row in np.flatnonzero(mask)]
    more = {
        "mode": "markers",
        "name": escaped(elided(name, 24)),
        "legendgroup": name,
        "showlegend": bool(name) and place == 1,
        "customdata": ids,
        "hovertemplate": f"%{{customdata}}<br>{escaped(name)}<extra></extra>",
    }
    if points.shape[1] == 2:
        size = 6 if len(projection.ids) <= 2_000 else 3
        marker = {**look, "size": size, "opacity": opacity}
        trace = go.Scattergl(x=points[:, 0], y=points[:, 1], marker=marker, **more)
    else:
        trace = go.Scatter3d(
            x=points[:, 0],
            y=points[:, 1],
            z=points[:, 2],
            marker={**look, "size": 3, "opacity": 0.85},
            **more,
        )
    figure.add_trace(trace, row=1, col=place)


def _axes(figure: go.Figure, projection: Projection, place: int) -> None:
    """Equal scales; only axes that mean something have a name."""
    names = [
        f"component {axis + 1} · {share:.0%} of the variance"
        for axis, share in enumerate(projection.explained[:2])
    ] or ["", ""]
    more = {"showticklabels": False, "zeroline": False, "showgrid": False, "row": 1, "col": place}
    suffix = "" if place == 1 else str(place)
    figure.update_xaxes(title={"text": names[0]}, constrain="domain", **more)
    figure.update_yaxes(title={"text": names[1]}, scaleanchor=f"x{suffix}", **more)


def _title(projection: Projection) -> str:
    """What is mapped and how far it can be trusted."""
    words = f"{METHODS.get(projection.method, projection.method)} · {projection.source}"
    if projection.trust is not None:
        words += f" · trustworthiness {projection.trust.trustworthiness:.3f}"
    return words
