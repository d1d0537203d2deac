"""What is in hand: one frozen selection shared by all pages, kept in the URL.

The address bar is the truth: widgets are filled from it before they are drawn, and it is written
once the model and the example are settled, so that each change is one step of the browser's back
button. A copied link, a reload and that button all show the same view.
A request that the browser sent before it heard of a change still has the old address, and values
of widgets that were drawn for another model; neither takes the change back.
This is the only file that touches ``st.session_state``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.selection import Selection

_KEPT = "selection"
_NOTICE = "notice"
_STASH = "stash"
_LEFT = "left"  # selections that changes replaced
_READ = "read"  # the address as it was read or written last
_MOST_LEFT = 16
_MOST_HANDLES = 64


def selection() -> Selection:
    """The selection in hand: from the address where the browser brings another one, else the one
    kept.
    """
    query = _query()
    kept: Selection | None = st.session_state.get(_KEPT)
    if kept is not None and query == st.session_state.get(_READ):
        return kept
    st.session_state[_READ] = query
    known = {item.name for item in fields(Selection)} | {"set"}
    if not known.intersection(query):
        if kept is None:
            return keep(Selection())
        addressed()  # another page: its step back has the whole address from the first
        return kept
    chosen = Selection.from_query(query)
    stale = kept is not None and chosen in st.session_state.get(_LEFT, ())
    return keep(kept if kept is not None and stale and not _by_history() else chosen)


def _overtaken(model: str) -> bool:
    """Whether a widget that was drawn for this model speaks though another one is in hand by now:
    browsers send what it last held until they are told that it is gone.
    """
    return selection().model != model


def _query() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}


def _by_history() -> bool:
    """Whether the browser's back or forward button asked for this run."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.is_history_navigation


def _partly() -> bool:
    """Whether only a part of the page is drawn anew, after which nothing shows the address."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and bool(context.fragment_ids_this_run)


def keep(chosen: Selection) -> Selection:
    """Make this the selection in hand."""
    st.session_state[_KEPT] = chosen
    return chosen


def addressed() -> None:
    """Show what is in hand in the address bar. The browser makes a step for its back button of each
    address that it is told, so it is told what a change led to, and not each part of it.
    """
    wanted = selection().to_query()
    shown = {
        name: values if name == "set" else values[-1] for name, values in _query().items() if values
    }
    if shown != wanted:
        st.query_params.from_dict(wanted)
    st.session_state[_READ] = _query()


def change(**changes: Any) -> Selection:
    """Replace fields of the selection in hand; what was told before is settled by it."""
    st.session_state.pop(_NOTICE, None)
    before = selection()
    after = replace(before, **changes)
    if after != before:
        left = [each for each in st.session_state.get(_LEFT, ()) if each not in (before, after)]
        st.session_state[_LEFT] = [*left, before][-_MOST_LEFT:]
    keep(after)
    if _partly():
        addressed()
    return after


def stash() -> None:
    """Remember what is in hand, for when what comes next cannot be had."""
    st.session_state[_STASH] = selection()


def unstash() -> Selection:
    """Take what was remembered in hand again, or what a page begins with."""
    st.session_state.pop(_NOTICE, None)
    return keep(st.session_state.pop(_STASH, Selection()))


def bind(
    name: str,
    value: Any,
    convert: Callable[[Any], Any] | None = None,
    also: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments that tie a widget to the field ``name``: it shows ``value``, and a change of it is
    written back, through ``convert`` where there is one, together with the fields ``also``.

    >>> st.selectbox("Model", names, **bind("model", selection.model))
    """
    key, drawn_for = f"bound:{name}", selection().model

    def write() -> None:
        new = st.session_state[key]
        if new is not None and (name == "model" or not _overtaken(drawn_for)):
            change(**{name: convert(new) if convert else new}, **(also or {}))

    st.session_state[key] = value
    return {"key": key, "on_change": write}


def bind_setting(method: str, parameter: str, value: Any, default: Any) -> dict[str, Any]:
    """Like ``bind`` for one parameter of one method; the default is not kept in the address."""
    name = f"{method}.{parameter}"
    key, drawn_for = f"bound:set:{name}", selection().model

    def write() -> None:
        if _overtaken(drawn_for):
            return
        settings = {k: v for k, v in selection().settings.items() if k != name}
        if st.session_state[key] not in (None, default):
            settings[name] = str(st.session_state[key])
        change(settings=settings)

    st.session_state[key] = value
    return {"key": key, "on_change": write}


def tell(message: str) -> None:
    """Say something at the top of the page until the next change."""
    st.session_state[_NOTICE] = message


def told() -> str:
    """What there is to say at the top of the page, or nothing."""
    message: str = st.session_state.get(_NOTICE, "")
    return message


def visitor() -> str:
    """The browser session: one for each tab, another one after a reload."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context is not None else ""


def present(session: str) -> bool:
    """Whether a browser session is still connected."""
    return runtime.exists() and runtime.get_instance().is_active_session(session)


def is_new(token: str) -> bool:
    """Whether this, like a finished upload, was not yet ``taken`` in this browser session."""
    return token not in st.session_state.get("taken", ())


def taken(token: str) -> None:
    """What came with this was taken. Said last of all: a run that gives way to another one before
    is done again.
    """
    st.session_state.setdefault("taken", set()).add(token)


def handles() -> dict[str, Any]:
    """Handles of this browser session by the key of their call, the oldest finished ones let go."""
    held: dict[str, Any] = st.session_state.setdefault("handles", {})
    for key in list(held)[: max(0, len(held) - _MOST_HANDLES)]:
        if held[key].state == "done":
            del held[key]
    return held


def met() -> set[str]:
    """Keys of calls that a page of this session has already waited for."""
    found: set[str] = st.session_state.setdefault("met", set())
    return found


def wanted() -> set[str]:
    """Keys of the calls that the page being drawn shows."""
    keys: set[str] = st.session_state.setdefault("wanted", set())
    return keys


def pressed(label: str, key: str, **options: Any) -> bool:
    """A button whose press is kept until a run of the page comes to it.

    ``st.button`` forgets the press when the run that should have seen it gives way to another one,
    as when a part of the page reports its width at that moment. Whoever asks acts before anything
    else is drawn: the press is forgotten as soon as it is told.
    """
    kept = f"pressed:{key}"
    st.button(label, key=key, on_click=_press, args=(kept,), **options)
    return bool(st.session_state.pop(kept, False))


def _press(kept: str) -> None:
    st.session_state[kept] = True


def look(key: str, box: Any) -> None:
    """Remember which part of a map is looked at."""
    st.session_state[f"look:{key}"] = box


def looked(key: str) -> Any:
    """The part of a map that is looked at, None for all of it."""
    return st.session_state.get(f"look:{key}")


def pick_rows(name: str, rows: npt.NDArray[np.int64]) -> None:
    """Remember the rows picked of a file; none forgets them."""
    st.session_state["rows"] = (name, rows)


def picked_rows(name: str) -> npt.NDArray[np.int64]:
    """The rows picked of a file in this browser session."""
    kept, rows = st.session_state.get("rows", ("", np.empty(0, np.int64)))
    return rows if kept == name else np.empty(0, np.int64)


def estimates() -> dict[str, Any]:
    """Jobs that estimate what a run will cost, by recipe, asked for in this browser session."""
    found: dict[str, Any] = st.session_state.setdefault("estimates", {})
    return found


def plain(text: str) -> str:
    """Text of a person or a file as it stands, with nothing in it read as Markdown.

    An address would become a link all the same, after Markdown is done with: something without
    width (a word joiner) parts what it is known by.
    """
    parted = re.sub(r"(?i)(https?://|www(?=\.)|@)", "\\1\u2060", text)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:])", r"\\\1", parted)


def asked() -> set[str]:
    """Keys of the dear calls that were started by a click in this browser session."""
    keys: set[str] = st.session_state.setdefault("asked", set())
    return keys


def reported(key: str, name: str, default: int) -> int:
    """A number that a component keeps in its state, or the default before it has told."""
    value = getattr(st.session_state.get(key), name, None)
    return int(value) if isinstance(value, (int, float)) else default


def read(key: str) -> Any:
    """What a component reported under its key; for its callbacks."""
    return st.session_state[key]
