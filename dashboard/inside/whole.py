"""All layers at once: shape, cost and any statistic of theirs; a click takes one in hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.engine.call import Call
from core.results import (
    Architecture,
    Behaviour,
    GradientFlow,
    LayerBehaviour,
    LayerInfo,
    LayerTimes,
)
from core.results.activations import Capture
from dashboard import cached, downloads, state, waiting
from dashboard.figures.depth import layer_strip
from dashboard.inside.statistic import STATISTICS, ailments
from dashboard.theme import is_dark

_OF_NETWORK = {
    "parameters": "Parameters",
    "operations": "Multiply-adds",
    "time": "Time in a forward, ms",
}
_OF_LEARNING = {
    "flow": "Gradient of the loss at the output",
    "pull": "Gradient of the loss by the weights, per weight norm",
}
_DROPPED = ("Dropout", "Identity")


def draw(
    now: state.Selection,
    architecture: Architecture,
    behaviour: Behaviour | None,
    capture: Capture | None,
    waits: bool,
) -> str:
    """The strip of all layers and, below it, their table; the name of the layer in hand. While it
    ``waits`` for statistics, which of them is shown cannot be chosen: a choice that changed by
    itself once they are there would be told back as if a person had made it.
    """
    leaves = {each.name: each for each in architecture.layers if each.leaf}
    over = {each.name: each for each in behaviour.layers} if behaviour else {}
    names = list(over) or list(leaves)
    layer = now.module if now.module in names or now.module in leaves else _first(names, leaves)
    if now.module and layer != now.module:
        st.info(f"There is no layer '{state.plain(now.module)}'; this is another one.")
    options = {**({key: each.title for key, each in STATISTICS.items()} if over else {})}
    options |= _OF_NETWORK | (_OF_LEARNING if capture is not None else {})
    chosen = now.statistic if now.statistic in options else next(iter(options))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox(
            "Every layer's",
            list(options),
            format_func=options.get,
            width=280,
            disabled=waits,
            **({"key": "statistic:waits"} if waits else state.bind("statistic", chosen)),
        )
        st.selectbox(
            "Layer in hand",
            names,
            names.index(layer) if layer in names else 0,
            format_func=lambda name: _spelt(name, leaves, over),
            width=300,
            **state.bind("module", layer if layer in names else names[0]),
        )
    _strip(now, chosen, options[chosen], leaves, over, layer, capture)
    if chosen in STATISTICS:
        st.caption(f"The band is healthy. {STATISTICS[chosen].why}")
    elif chosen in _OF_LEARNING:
        st.caption(
            "Over 64 examples, nothing is updated. Healthy: within a factor of a thousand from the "
            "first layer to the last; far smaller in front, it vanishes, far larger, it explodes "
            "(Glorot and Bengio 2010)."
        )
    with st.expander("All layers as a table"):
        st.dataframe(pd.DataFrame(_rows(architecture, over)), hide_index=True)
    return layer


def _strip(
    now: state.Selection,
    chosen: str,
    title: str,
    leaves: dict[str, LayerInfo],
    over: dict[str, LayerBehaviour],
    layer: str,
    capture: Capture | None,
) -> None:
    healthy = None
    kinds = {name: each.kind for name, each in leaves.items()}
    if chosen in STATISTICS:
        statistic = STATISTICS[chosen]
        values = {name: statistic.of(each) for name, each in over.items()}
        form, healthy = statistic.form, (statistic.low, statistic.high)
    elif chosen == "time":
        found = _times(now)
        if found is None:
            return
        form = ".3f"
        values = dict(zip(found.layers, (found.seconds * 1e3).tolist(), strict=True))
        title = f"{title} (of {found.forward * 1e3:.3g} ms in all)"
    elif chosen in _OF_LEARNING and capture is not None:
        flow = _flow(now, capture)
        if flow is None:
            return
        form = ".2e"
        with np.errstate(divide="ignore", invalid="ignore"):
            pull = np.where(flow.weights > 0, flow.gradients / flow.weights, np.nan)
        numbers = flow.outputs if chosen == "flow" else pull
        values = {
            name: value
            for name, value in zip(flow.layers, numbers.tolist(), strict=True)
            if np.isfinite(value)
        }
    else:
        form = ".3s"
        values = {
            name: float(each.parameters if chosen == "parameters" else each.multiply_adds)
            for name, each in leaves.items()
        }
    figure = layer_strip(
        list(values),
        list(values.values()),
        title=title,
        form=form,
        kinds=[kinds.get(name.partition("#")[0], "") for name in values],
        healthy=healthy,
        picked=layer,
        dark=is_dark(st.context.theme.type),
    )
    names = list(values)

    def clicked() -> None:
        if points := state.read("strip").selection.points:
            state.change(module=names[int(points[0]["point_index"])], unit=-1)

    st.plotly_chart(
        figure,
        theme=None,
        config=downloads.CHART,
        key="strip",
        on_select=clicked,
        selection_mode="points",
    )


def _times(now: state.Selection) -> LayerTimes | None:
    handle = cached.handle(Call("layer_times", cached.model_ref(now.model), urgent=True))
    under_way = waiting.under_way({"Timing": handle})
    if under_way or waiting.failed("Timing", handle):
        waiting.watch(under_way)
        return None
    found: LayerTimes = handle.result()
    return found


def _flow(now: state.Selection, capture: Capture) -> GradientFlow | None:
    parameters = {"capture": str(capture.folder)}
    handle = cached.handle(Call("gradient_flow", cached.model_ref(now.model), (), parameters))
    under_way = waiting.under_way({"Gradient": handle})
    if under_way or waiting.failed("Gradient", handle):
        waiting.watch(under_way)
        return None
    found: GradientFlow = handle.result()
    return found


def _first(names: list[str], leaves: dict[str, LayerInfo]) -> str:
    """The first convolution or else the last layer that is not the answer itself."""
    for name in names:
        info = leaves.get(name)
        if info is not None and "Conv" in info.kind:
            return name
    inner = [name for name in names[:-1] if not _dropped(leaves.get(name.partition("#")[0]))]
    return inner[-1] if inner else names[0]


def _dropped(info: LayerInfo | None) -> bool:
    return info is not None and info.kind.startswith(_DROPPED)


def _spelt(name: str, leaves: dict[str, LayerInfo], over: dict[str, LayerBehaviour]) -> str:
    info = leaves.get(name.partition("#")[0])
    ill = " ·  ⚠" if name in over and ailments(over[name]) else ""
    return f"{name} · {info.kind if info else over[name].kind}{ill}"


def _rows(architecture: Architecture, over: dict[str, LayerBehaviour]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for each in architecture.layers:
        row: dict[str, object] = {
            "Layer": "\u2003" * max(each.depth - 1, 0) + (each.name.rpartition(".")[2] or "model"),
            "Kind": each.kind,
            "Output shape": " × ".join(map(str, each.output_shape)),
            "Parameters": each.parameters,
            "Multiply-adds": each.multiply_adds,
        }
        if each.name in over:
            seen = over[each.name]
            row |= {
                statistic.title: _cell(statistic.of(seen), statistic.form)
                for statistic in STATISTICS.values()
            }
            row["Outside of the healthy range"] = ", ".join(ailments(seen))
        rows.append(row)
    return rows


def _cell(value: float, form: str) -> str:
    return f"{value:{form}}"
