"""Vectors of one's own on the map: a file that some other program wrote."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from core.data.vectors import SUFFIXES
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.provenance import sha256_of_json
from core.results.projection import Projection
from dashboard import cached, controls, downloads, scatter, state, waiting
from dashboard.figures.projection import projection_map
from dashboard.projecting import plane, trusted
from dashboard.projecting.tints import Tint
from dashboard.theme import is_dark

_MOST_VALUES = 40
_MOST_ROWS = 300


def choose(now: state.Selection) -> None:
    """Where a file is taken, and the way back."""
    with st.popover("Vectors of your own", type="tertiary", icon=":material/upload:"):
        file = st.file_uploader(
            "One row per example",
            type=[each.lstrip(".") for each in SUFFIXES],
            key="upload:vectors",
            help="An array [example, unit], or a table with a column of lists or columns of "
            "numbers. It stays on the machine that runs Fluoroscope.",
        )
        if file is not None and state.is_new(file.file_id):
            try:
                state.change(vectors=cached.keep_upload(file.name, file.getvalue()), tint="")
            except FluoroscopeError as error:
                st.error(state.plain(str(error)))
                return
            state.taken(file.file_id)
            st.rerun()
        if now.vectors and state.pressed("Back to the model's layers", "no-vectors"):
            state.change(vectors="", tint="")
            st.rerun()


def draw(now: state.Selection) -> None:
    """The map of the file, its trust, and the rows that are picked."""
    try:
        file = cached.example(now.vectors)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    model, way = cached.model_ref(now.model), plane.reducer_of(now)
    settings = dict(controls.settings_of(way, now))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        plane.controls_of(now)
        place = st.container(width=180)
    parameters = {"method": way.name, "dim": now.dims, "settings": settings}
    first = {**parameters, "method": "pca", "settings": {}}
    handles = {
        way.title: cached.handle(Call("project", model, (file,), parameters, seed=now.seed)),
        "PCA": cached.handle(Call("project", model, (file,), first)),
        "Columns": cached.handle(Call("vector_columns", model, (file,))),
    }
    under_way = waiting.under_way(handles)
    shown: Projection | None = next(
        (each.result() for each in list(handles.values())[:2] if each.state == "done"), None
    )
    for title, handle in handles.items():
        if waiting.failed(title, handle):
            return
    if shown is None or handles["Columns"].state != "done":
        waiting.watch(under_way)
        return
    about = handles["Columns"].result()
    with place:
        tint = _tint(now, about["columns"])
    _map(now, shown, tint)
    trusted.draw(shown, None)
    figure = projection_map(
        [shown],
        None if tint is None else tint.values,
        () if tint is None else tint.names,
        colour="" if tint is None else tint.title,
        dark=is_dark(st.context.theme.type),
    )
    downloads.button(figure, [shown], f"{file.name}.{shown.method}"[:80])
    _table(shown, about["columns"])
    waiting.watch(under_way)


def _tint(now: state.Selection, columns: dict[str, list[object]]) -> Tint | None:
    if not columns:
        return None
    name = now.tint if now.tint in columns else next(iter(columns))
    st.selectbox("Colour", list(columns), width=180, **state.bind("tint", name))
    values = np.array(columns[name])
    if values.dtype.kind in "fiu" and len(np.unique(values)) > _MOST_VALUES:
        return Tint(name, name, values.astype(np.float32))
    names, places = np.unique(values.astype(str), return_inverse=True)
    return Tint(name, name, places.astype(np.int64), tuple(names.tolist()))


def _map(now: state.Selection, shown: Projection, tint: Tint | None) -> None:
    rows = state.picked_rows(now.vectors)
    mask = None
    if len(rows):
        mask = np.zeros(len(shown.ids), bool)
        mask[rows[rows < len(mask)]] = True

    def pick(rows: npt.NDArray[np.int64]) -> None:
        state.pick_rows(now.vectors, rows)

    trust = shown.trust
    scatter.draw(
        scatter.Points(
            shown.points,
            map=sha256_of_json([shown.provenance.inputs, shown.provenance.parameters, shown.seed]),
            data=f"{now.vectors}:{now.dims}",
            title=f"Map of {len(shown.ids):,} vectors",
            tint=tint,
            false=trust.marked if trust is not None and now.rings != "no" else None,
            picked=mask,
        ),
        dark=is_dark(st.context.theme.type),
        key="own",
        high=plane.HIGH,
        on_pick=pick,
        on_click=lambda row: pick(np.array([row])),
    )


def _table(shown: Projection, columns: dict[str, list[object]]) -> None:
    """The rows that are picked."""
    rows = state.picked_rows(state.selection().vectors)
    rows = rows[rows < len(shown.ids)]
    if not len(rows):
        st.caption("Draw around points to see which rows of the file they are.")
        return
    frame = pd.DataFrame(
        {
            "Row": rows,
            "Id": [shown.ids[row] for row in rows],
            **{name: [values[row] for row in rows] for name, values in columns.items()},
        }
    )
    st.markdown(f"**{len(rows):,}** of {len(shown.ids):,} picked")
    st.dataframe(frame.head(_MOST_ROWS), hide_index=True)
    st.download_button(
        "Save the list",
        data=lambda: frame.to_csv(index=False).encode(),
        file_name="picked.csv",
        mime="text/csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
