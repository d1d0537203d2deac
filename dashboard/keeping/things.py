"""Things of the workspace in a table: pick some to delete, one to rename."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from core.errors import FluoroscopeError
from core.inventory import KINDS, Kept, delete, rename
from dashboard import cached, state
from dashboard.commands.workspace import sized

_NAMED = ("models", "compressed", "data", "runs", "uploads", "subsets")
_HEIGHT, _FEW = 260, 6


def first(found: Sequence[Kept]) -> None:
    """How much there is, by kind, and where."""
    place = cached.place().root
    sizes = {kind: sum(each.size for each in found if each.kind == kind) for kind in KINDS}
    largest = sorted(sizes, key=lambda kind: -sizes[kind])[:3]
    shown = [("All together", sized(sum(sizes.values())), f"In {place}")]
    shown += [(KINDS[kind], sized(sizes[kind]), "") for kind in largest if sizes[kind]]
    if place.exists():
        shown.append(("Free on the disk", sized(shutil.disk_usage(place).free), ""))
    for column, (title, value, about) in zip(st.columns(5), shown, strict=False):
        column.metric(title, value, help=about or None)
    st.caption(
        f"In {state.plain(str(place))}. Nothing of it leaves this machine. The same bytes brought "
        "twice are kept once; results and activations are caches and may go at any time."
    )


def draw(found: Sequence[Kept]) -> None:
    """The table of one kind, with what can be done to the rows that are picked."""
    kind = found[0].kind
    key = f"things:{kind}"
    rows = pd.DataFrame(
        {
            "Name": [each.title for each in found],
            "Size": [each.size for each in found],
            "Changed": [datetime.fromtimestamp(each.used).astimezone() for each in found],
            "In use": [each.busy for each in found],
        }
    )
    event = st.dataframe(
        rows if rows["In use"].any() else rows.drop(columns="In use"),
        hide_index=True,
        height="content" if len(rows) <= _FEW else _HEIGHT,
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "Size": st.column_config.NumberColumn(format="bytes"),
            "Changed": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        },
    )
    picked = [found[row] for row in event.selection.rows if row < len(found)]
    if not picked and len(found) == 1:
        picked = list(found)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = f"{len(picked):,} of {len(found):,}" if len(picked) > 1 else ""
        label = f"Delete {count}".strip() if picked else "Delete"
        if state.pressed(label, "delete-things", disabled=not picked, icon=":material/delete:"):
            _confirmed(picked)
        if kind in _NAMED and len(picked) == 1:
            with st.popover("Rename"):
                _renamed(picked[0])
        if not picked:
            st.caption("Pick rows to delete or rename them.")


@st.dialog("Delete for good?")
def _confirmed(picked: Sequence[Kept]) -> None:
    busy = [each for each in picked if each.busy]
    for each in busy:
        st.warning(state.plain(f"'{each.title}' is in use: {each.busy}. It stays."))
    free = [each for each in picked if not each.busy]
    if free:
        names = ", ".join(f"'{each.title}'" for each in free[:4])
        more = f" and {len(free) - 4} more" if len(free) > 4 else ""
        st.markdown(state.plain(f"{names}{more}: {sized(sum(each.size for each in free))}."))
        st.caption("This cannot be taken back.")
        if st.button(
            "Delete", key="delete-for-good", type="primary", on_click=_delete, args=(free,)
        ):
            st.rerun()  # the whole page, which closes the dialog


def _delete(free: Sequence[Kept]) -> None:
    freed = 0
    try:
        for each in free:
            freed += delete(each)
    except FluoroscopeError as error:
        state.tell(str(error))
        return
    state.tell(f"{len(free):,} deleted, {sized(freed)} are free.")


def _renamed(thing: Kept) -> None:
    name = st.text_input("New name", thing.title, key=f"rename:{thing.id}", max_chars=80)
    if not state.pressed("Rename it", "rename-thing", disabled=name.strip() in ("", thing.title)):
        return
    try:
        rename(cached.place(), thing, name)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    st.rerun()
