"""The map on the Projection page: principal components at once, the dear reducers when they are
ready, and how far what is seen can be believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from core.data import subset as subsets
from core.data.dataset import Dataset
from core.data.subset import Subset
from core.engine.call import Call
from core.engine.executor import Handle
from core.errors import FluoroscopeError
from core.parameters import Value
from core.projection.reducers import ATTRIBUTIONS, REDUCERS, Reducer
from core.provenance import sha256_of_json
from core.results.activations import Capture
from core.results.projection import Clusters, Placement, Projection
from core.tasks import Example
from dashboard import cached, controls, downloads, scatter, state, waiting
from dashboard.figures.projection import projection_map
from dashboard.projecting import cards, trusted
from dashboard.projecting.tints import GROUP, Tint
from dashboard.theme import is_dark

_NAMES = {each.name: each.title for each in REDUCERS}
HIGH = 560
_STRANGE = 3.0  # times the usual distance to the nearest example
_STABLE = 3_000  # up to so many examples a second map by another seed is made unasked


def controls_of(now: state.Selection) -> None:
    """Which reducer, in how many dimensions, with what settings."""
    way = reducer_of(now)
    st.segmented_control("Map", _NAMES, format_func=_NAMES.get, **state.bind("reducer", way.name))
    st.segmented_control(
        "Dimensions", (2, 3), format_func=lambda dim: f"{dim}-D", **state.bind("dims", now.dims)
    )
    if way.parameters:
        with st.popover("Settings", type="tertiary", icon=":material/tune:"):
            st.caption(f"{way.summary} {way.reference}.")
            controls.draw_settings(way, controls.settings_of(way, now), ())
            st.number_input(
                "Seed",
                0,
                2**31 - 1,
                help="The same seed gives the same map.",
                **state.bind("seed", now.seed),
            )


def draw(
    now: state.Selection,
    data: Dataset,
    capture: Capture,
    layer: str,
    tint: Tint | None,
    picked: Subset | None,
) -> tuple[Projection | None, Tint | None]:
    """Draw the best map there is by now; the one shown, and its colours."""
    way = reducer_of(now)
    settings = controls.settings_of(way, now)
    asked = handle_of(now, capture, layer, way, settings)
    handles = {way.title: asked}
    if way.name != "pca":
        handles["PCA"] = handle_of(now, capture, layer, _of("pca"), {})
    under_way = waiting.under_way(handles)
    ready = [handle for handle in handles.values() if handle.state == "done"]
    shown: Projection | None = ready[0].result() if ready else None
    if shown is not None:
        if now.tint == GROUP and shown.method == way.name:
            grouping = handle_of(now, capture, layer, way, settings, verb="cluster")
            under_way |= waiting.under_way({"Groups": grouping})
            waiting.failed("Groups", grouping)
            if grouping.state == "done":
                found: Clusters = grouping.result()
                tint = Tint(GROUP, "Group", found.labels, found.names)
        mask = None if picked is None else picked.mask(data)
        pins = pins_of(now) or _placed(now, capture, layer, way, shown, under_way)
        plot(now, data, capture, layer, shown, tint, mask, pins)
        stable = _stability(now, capture, layer, way, shown)
        if stable is not None and not waiting.settled(stable):
            under_way["Stability"] = stable
        trusted.draw(shown, stable)
        _export(now, layer, shown, tint, mask)
    for title, handle in handles.items():
        waiting.failed(title, handle)
    waiting.watch(under_way)
    return shown, tint


def reducer_of(now: state.Selection) -> Reducer:
    return _of(now.reducer if now.reducer in _NAMES else "umap")


def _of(name: str) -> Reducer:
    return next(each for each in REDUCERS if each.name == name)


def handle_of(
    now: state.Selection,
    capture: Capture,
    layer: str,
    way: Reducer,
    settings: Mapping[str, Value],
    verb: str = "project",
    inputs: tuple[Example, ...] = (),
    **more: Any,
) -> Handle:
    parameters = {
        "capture": str(capture.folder),
        "layer": layer,
        "method": way.name,
        "dim": now.dims,
        "settings": dict(settings),
        **more,
    }
    seed = now.seed if way.stochastic else 0
    return cached.handle(Call(verb, cached.model_ref(now.model), inputs, parameters, seed=seed))


def _stability(
    now: state.Selection, capture: Capture, layer: str, way: Reducer, shown: Projection
) -> Handle | None:
    """A second map, by another seed, once the first is there."""
    if not way.stochastic or shown.method != way.name or len(shown.ids) > _STABLE:
        return None
    settings = controls.settings_of(way, now)
    return handle_of(now, capture, layer, way, settings, judged=False, stability=True)


def plot(
    now: state.Selection,
    data: Dataset,
    capture: Capture,
    layer: str,
    shown: Projection,
    tint: Tint | None,
    mask: npt.NDArray[np.bool_] | None,
    pins: Sequence[scatter.Pin],
    *,
    points: npt.NDArray[np.float32] | None = None,
    key: str = "map",
    high: int = HIGH,
) -> None:
    """The points of a map, those of ``shown`` unless others are given."""

    def pick(rows: npt.NDArray[np.int64]) -> None:
        if not len(rows):
            state.change(subset="")
            return
        try:
            state.change(subset=subsets.keep(cached.place(), subsets.picked(data, rows)))
        except FluoroscopeError as error:
            state.tell(str(error))

    def click(row: int) -> None:
        state.change(example=cached.row_name(now.model, row), target="top")

    axes = [
        f"{'→' if place == 0 else '↑'} component {place + 1} · {share:.0%} of the variance"
        for place, share in enumerate(shown.explained[:2])
    ]
    trust = shown.trust
    scatter.draw(
        scatter.Points(
            shown.points if points is None else points,
            map=sha256_of_json([capture.weights, shown.provenance.parameters, shown.seed])[:16],
            data=f"{data.fingerprint[:16]}:{now.dims}",
            title=f"{_NAMES[shown.method]} map of {len(data):,} examples, by the layer {layer}",
            tint=tint,
            false=trust.marked if trust is not None and now.rings != "no" else None,
            picked=mask,
            axes=axes if shown.points.shape[1] == 2 and points is None else (),
            pins=pins,
            compact=points is not None,
            cards=cards.address(cached.cards(now.model, str(capture.folder)))
            if len(data) <= cards.MOST
            else "",
        ),
        dark=is_dark(st.context.theme.type),
        key=key,
        high=high,
        on_pick=pick,
        on_click=click,
    )


def _export(
    now: state.Selection,
    layer: str,
    shown: Projection,
    tint: Tint | None,
    mask: npt.NDArray[np.bool_] | None,
) -> None:
    figure = projection_map(
        [shown],
        None if tint is None else tint.values,
        () if tint is None else tint.names,
        colour="" if tint is None else tint.title,
        marked=now.rings != "no",
        picked=mask,
        dark=is_dark(st.context.theme.type),
    )
    downloads.button(figure, [shown], f"{now.model}.{layer}.{shown.method}"[:80])


def pins_of(now: state.Selection) -> list[scatter.Pin]:
    """The example in hand, where it is one of the data."""
    try:
        model, row = cached.row_of(now.example)
    except FluoroscopeError:
        return []
    same = model == now.model and cached.data_of_row(now.example) == now.data
    return [scatter.Pin("in hand", row)] if same else []


def _placed(
    now: state.Selection,
    capture: Capture,
    layer: str,
    way: Reducer,
    shown: Projection,
    under_way: dict[str, Handle],
) -> list[scatter.Pin]:
    """The example in hand where it is none of the data: placed among them."""
    if layer == ATTRIBUTIONS or shown.method != way.name:
        return []
    try:
        what = cached.example(now.example)
    except FluoroscopeError:
        return []
    settings = controls.settings_of(way, now)
    handle = handle_of(now, capture, layer, way, settings, verb="place", inputs=(what,))
    under_way |= waiting.under_way({"Example in hand": handle})
    if handle.state != "done" or handle.error is not None:
        return []
    there: Placement = handle.result()
    name = "in hand" if there.strangeness[0] < _STRANGE else "in hand, unlike all of these"
    return [scatter.Pin(name, place=tuple(there.points[0].tolist()))]
