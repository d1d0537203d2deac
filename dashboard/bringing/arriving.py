"""A file or a folder that is being opened: how far it is, Cancel, and what became of it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core import settings
from core.engine.call import Call
from core.errors import Cancelled, FluoroscopeError
from core.models import huggingface
from core.models.formats import admitted, arrival, configured
from core.models.reference import ModelRef
from dashboard import cached, state, waiting

_NONE = ModelRef("", "")


def brought(file: arrival.Waiting, sha256: str) -> arrival.Arrived | None:
    """What became of a file that was dropped; None while it is under way, with its progress drawn.
    What went wrong is told once, and the file gone.
    """
    asked = {"path": str(file.path), "said": file.said, "root": str(cached.place().root)}
    call = Call("bring", _NONE, parameters=asked)
    if _under_way(file.path.name, call):
        return None
    try:
        found: arrival.Arrived | None = cached.handle(call).result()
    except FluoroscopeError as error:
        found = None
        state.change(brought="")
        state.tell(_said(error, file.path.name))
    cached.forget(call)
    arrival.forget(cached.place(), sha256)
    if found is None:
        st.rerun()
    return found


def is_opened(name: str) -> bool:
    """Whether a model may be used: one that is a folder is opened first, and one that a function
    makes which the settings list is made, with progress drawn. Where that fails, it is told, and
    what was in hand before is in hand again.
    """
    if name in settings.models():
        return _is_called(name)
    if not name.startswith(huggingface.PREFIX) or not cached.is_path(name):
        return True
    try:
        folder = huggingface.named(name)
        call = Call("admit", _NONE, parameters={"path": str(folder)})
        if admitted.known(folder) and call.key not in state.handles():
            return True
    except FluoroscopeError:
        return True  # there is nothing to open, and the sidebar says so
    if _under_way(folder.name, call):
        st.caption(
            "It is looked over without running any code in it, and opened in a process of its own. "
            "Until it changes, it is there at once from then on."
        )
        return False
    try:
        told = "; ".join(cached.handle(call).result())
        told = f"{told[:1].upper()}{told[1:]}." if told else ""
    except FluoroscopeError as error:
        state.unstash()
        told = _said(error, Path(name).name)
    cached.forget(call)
    state.tell(told)
    st.rerun()
    return False


def _is_called(name: str) -> bool:
    """Whether the function that the settings list was called, and may be used."""
    call = Call("open_code", ModelRef(name, ""), parameters=configured.asked(name), urgent=True)
    if configured.known(name) and call.key not in state.handles():
        return True
    if configured.changed(name) and call.key not in state.handles():
        cached.engine().renew()  # which has imported what the code was before
    if _under_way(name, call):
        st.caption(
            "A function of your own code, which the settings list, makes the network. Until that "
            "code changes, it is there at once from then on."
        )
        return False
    try:
        configured.keep(name, cached.handle(call).result())
        cached.own_models.clear()
    except FluoroscopeError as error:
        configured.fail(name)
        state.unstash()
        state.tell(_said(error, name))
    cached.forget(call)
    st.rerun()
    return False


def _under_way(name: str, call: Call) -> bool:
    title = f"Opening {state.plain(name)}"
    handle = cached.handle(call)
    state.asked().add(call.key)  # it goes on when another page is looked at
    lines = waiting.under_way({title: handle})
    waiting.watch(lines)
    return bool(lines)


def _said(error: FluoroscopeError, name: str) -> str:
    return f"Opening '{name}' was cancelled." if isinstance(error, Cancelled) else str(error)
