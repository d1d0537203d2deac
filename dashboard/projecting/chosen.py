"""What was picked on the map: which examples they are, where the model errs on them, their names,
and the way from here to the other pages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from core.data import subset as subsets
from core.data.dataset import Dataset
from core.data.subset import Subset
from core.errors import FluoroscopeError
from core.projection.words import overrepresented
from core.results.activations import Capture
from core.tasks import Task
from dashboard import cached, downloads, state
from dashboard.figures.picked import class_balance, confused_pairs
from dashboard.projecting import meanmap
from dashboard.theme import is_dark
from dashboard.wording import words

_MOST_ROWS = 300
_PICTURES = (Task.IMAGE_CLASSIFICATION,)


def draw(chosen: state.Selection, data: Dataset, capture: Capture, picked: Subset) -> None:
    """The panel beside the map."""
    mask = picked.mask(data)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{state.plain(picked.title)}** of {len(data):,}")
        if state.pressed("Let go", "let-go", type="tertiary", help="Pick nothing."):
            state.change(subset="")
            st.rerun()
    _standing(chosen, capture, mask)
    if capture.labels is not None and mask.any() and not mask.all():
        figure = class_balance(
            capture.labels, mask, capture.classes, dark=is_dark(st.context.theme.type)
        )
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="balance")
    task = cached.model_card(chosen.model).task
    if task in _PICTURES:
        mean = cached.mean_picture(chosen.model, picked.rows)
        if mean is not None:
            st.image(mean, caption="Mean picture of those picked", width=112)
    elif mask.any() and not mask.all() and task.axis == "tokens":
        _words(data, mask)
    meanmap.draw(chosen, data, picked)
    _name(picked)


def table(chosen: state.Selection, data: Dataset, capture: Capture, picked: Subset) -> None:
    """The picked examples, the largest loss first; a click takes one in hand."""
    rows = _worst_first(capture, picked.rows)[:_MOST_ROWS]
    frame = pd.DataFrame(_columns(chosen, data, capture, rows))
    if len(picked) > len(rows):
        st.caption(f"{len(rows)} of {len(picked):,} examples, the largest loss first.")
    key = f"picked:{picked.key}"

    def clicked() -> None:
        if places := state.read(key).selection.rows:
            state.change(example=cached.row_name(chosen.model, rows[places[0]]), target="top")

    st.dataframe(
        frame,
        hide_index=True,
        on_select=clicked,
        selection_mode="single-row",
        key=key,
        column_config={
            "Picture": st.column_config.ImageColumn(width="small"),
            "Confidence": st.column_config.NumberColumn(format="percent"),
            "Loss": st.column_config.NumberColumn(format="%.3f", help="Cross-entropy, in nats."),
            "Text": st.column_config.TextColumn(width="large"),
        },
    )
    st.page_link("views/attribution.py", label="Why? Attributions of the example in hand")
    st.download_button(
        "Save the list",
        data=lambda: _listed(data, capture, picked.rows).to_csv(index=False).encode(),
        file_name=f"{picked.name or 'picked'}.csv",
        mime="text/csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def _standing(chosen: state.Selection, capture: Capture, mask: npt.NDArray[np.bool_]) -> None:
    """How right the model is on them, and what it takes for what."""
    if capture.labels is None or not capture.classes:
        return
    known = mask & (capture.labels >= 0)
    if not known.any():
        st.caption("These have no label, so nothing can be said about mistakes.")
        return
    right = capture.predictions == capture.labels
    rest = ~mask & (capture.labels >= 0)
    line = f"Right on **{right[known].mean():.0%}** of them"
    st.markdown(line + (f", on {right[rest].mean():.0%} of the rest." if rest.any() else "."))
    pairs = confused_pairs(capture.labels[known], capture.predictions[known])
    if pairs:
        st.caption("Taken for another. In which layer can they be told apart?")
    for true, said, count in pairs[:3]:
        names = (state.plain(capture.classes[true]), state.plain(capture.classes[said]))
        label = f"{names[0]} for {names[1]} · {count}×"
        if state.pressed(label, f"part:{true}:{said}", type="tertiary"):
            state.change(panel="part", pair=f"{min(true, said)}-{max(true, said)}")
            st.switch_page("views/layers.py")


def _words(data: Dataset, mask: npt.NDArray[np.bool_]) -> None:
    """Words that the picked texts have more often than the rest."""
    texts = [data[row].data.decode("utf-8", "replace") for row in range(len(data))]
    found = [each for each in overrepresented(texts, mask, 10) if each.inside > 1]
    if found:
        words = "  ".join(f"**{state.plain(each.word)}** {each.inside}" for each in found)
        st.markdown(
            f"Words more often here: {words}", help="With the number of texts; by log-odds."
        )


def _name(picked: Subset) -> None:
    """Give the selection a name, under which it is kept."""
    with st.popover("Rename" if picked.name else "Name and keep", type="tertiary"):
        name = st.text_input("Name", picked.name, key=f"name:{picked.key}", max_chars=80)
        if state.pressed("Keep", f"keep:{picked.key}", type="primary"):
            try:
                subsets.keep(cached.place(), subsets.renamed(picked, name))
            except FluoroscopeError as error:
                st.error(state.plain(str(error)))
                return
            st.rerun()


def _worst_first(capture: Capture, rows: Sequence[int]) -> list[int]:
    if capture.loss is None:
        return list(rows)
    loss = np.nan_to_num(np.asarray(capture.loss, np.float64)[list(rows)], nan=-1.0)
    return [rows[place] for place in np.argsort(-loss, kind="stable")]


def _columns(
    chosen: state.Selection, data: Dataset, capture: Capture, rows: Sequence[int]
) -> dict[str, Sequence[object]]:
    task = cached.model_card(chosen.model).task
    found: dict[str, Sequence[object]] = {}
    if task in _PICTURES:
        found["Picture"] = [cached.thumbnail(cached.row_name(chosen.model, row)) for row in rows]
    else:
        title = "Row" if task.axis == "columns" else "Text"
        found[title] = [words(data[row].data, task.axis, 300) for row in rows]
    return found | dict(_facts(data, capture, rows).items())


def _facts(data: Dataset, capture: Capture, rows: Sequence[int]) -> dict[str, Sequence[object]]:
    places, classes = list(rows), np.array([*capture.classes, ""])
    found: dict[str, Sequence[object]] = {}
    if capture.labels is not None and capture.classes:
        found["True"] = classes[capture.labels[places]].tolist()
    if capture.classes:
        found["Predicted"] = classes[capture.predictions[places]].tolist()
        found["Confidence"] = capture.confidence[places].tolist()
    if capture.loss is not None:
        found["Loss"] = capture.loss[places].tolist()
    for name, values in [each for each in capture.columns.items() if each[0] != "text"][:6]:
        found[name] = values[places].tolist()
    found["Id"] = [data.ids[row] for row in places]
    return found


def _listed(data: Dataset, capture: Capture, rows: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame({"row": list(rows), **_facts(data, capture, rows)})
