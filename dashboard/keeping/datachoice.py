"""The data in hand, in the sidebar: those that ship with the model, or a person's own."""

from __future__ import annotations

import streamlit as st

from core.data.dataset import ships
from core.data.kept import InHand, all_kept, keep_data, kept_data
from core.errors import FluoroscopeError
from core.tasks import AxisKind
from dashboard import cached, state
from dashboard.keeping import inhand

_TABLES = ["csv", "tsv", "jsonl", "ndjson", "parquet"]
_KINDS: dict[AxisKind, tuple[list[str], str]] = {
    "pixels": (
        ["zip", "npz", "npy", "parquet", "arrow"],
        "A zip of class folders, an array of images (npz with images and labels, npy), or rows "
        "with pictures (Parquet, a zipped data set that save_to_disk wrote)",
    ),
    "tokens": (
        [*_TABLES, "txt", "zip", "npz", "arrow"],
        "A table with a column of texts and one of classes, a text per line, or a zip of texts in "
        "class folders, of tables, or of a data set that save_to_disk wrote",
    ),
    "columns": (
        [*_TABLES, "zip", "npz", "npy"],
        "A table with the columns that the model reads and one of classes",
    ),
}


def settled(chosen: state.Selection) -> state.Selection:
    """The selection, without data that are not there or not for this model."""
    if not chosen.data:
        return chosen
    card = cached.model_card(chosen.model)
    others = " Those of the model are shown." if ships(card) else ""
    try:
        suited = kept_data(cached.place(), InHand.parsed(chosen.data).key).axis
        if suited in ("", card.task.axis):
            return chosen
        notice = f"Your data are of another kind than this model reads.{others}"
    except FluoroscopeError as error:
        notice = f"{error.message}{others}"
    chosen = state.change(data="", **inhand.FRESH)
    state.tell(notice)
    return chosen


def draw(chosen: state.Selection) -> None:
    """Draw the choice, where there is any, and how much was read."""
    card = cached.model_card(chosen.model)
    axis = card.task.axis
    named = InHand.parsed(chosen.data)
    kept = {
        each.key: each
        for each in all_kept(cached.place())
        if each.axis in ("", axis) or each.key == named.key
    }
    names = {"": "Come with the model" if ships(card) else "None"}
    for key, each in kept.items():  # a choice is known by what it says, so each says another thing
        same = each.name in names.values()
        names[key] = f"{each.name} ({key[:4]})" if same else each.name
    if len(names) == 1:
        return
    st.selectbox(
        "Data",
        list(names),
        format_func=names.get,
        **state.bind("data", named.key, also=inhand.FRESH),
    )
    found = cached.survey(chosen.model, chosen.data) if chosen.data else None
    if found is None or found.problem:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(state.plain(inhand.counted(found)), width="content")
        if state.pressed("Details", "what-was-read", type="tertiary"):
            inhand.what_was_read(chosen, found)


def bring(chosen: state.Selection) -> None:
    """A button that takes data."""
    with st.popover("Bring data", type="tertiary", icon=":material/upload:"):
        _upload(cached.model_card(chosen.model).task.axis)


def _upload(axis: AxisKind) -> None:
    kinds, about = _KINDS[axis]
    upload = st.file_uploader(
        "Your own data",
        type=kinds,
        key=f"data:{axis}",
        help=f"{about}. It stays on the machine that runs Fluoroscope, where `fluoroscope "
        "workspace add` names larger data without a copy.",
    )
    if upload is None or not state.is_new(upload.file_id):
        return
    try:
        kept = keep_data(cached.place(), upload.name, upload.getvalue())
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    state.change(data=kept.key, **inhand.FRESH)
    state.taken(upload.file_id)
    st.rerun()
