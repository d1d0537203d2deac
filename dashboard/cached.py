"""From a selection to core calls: the only file with ``st.cache_*``.

The engine is shared by all sessions of the server; results come back through its handles, so
nothing here waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import streamlit as st

from core import settings
from core.compression import source as compressed
from core.data.dataset import Dataset
from core.data.dataset import dataset as shipped
from core.data.gallery import GalleryItem, examples_for, examples_like, gallery_item
from core.data.kept import InHand, asked, kept_data
from core.engine.call import Call
from core.engine.engine import Engine
from core.engine.executor import Handle
from core.errors import BadInput, FluoroscopeError, UnknownName
from core.models import estimator
from core.models.card import ModelCard
from core.models.catalogue import ADAPTERS, card, catalogue, missing, reference
from core.models.exported import own
from core.models.formats.admitted import at_once
from core.models.huggingface import PREFIX
from core.models.reference import ModelRef
from core.results import DataSurvey
from core.results.activations import open_capture
from core.results.history import History
from core.tasks import Example
from core.training.events import EventLog
from core.workspace import Workspace, workspace
from dashboard import manyexamples, state, thumbnails
from dashboard.projecting.cards import cards as cards_of
from dashboard.runs import items_of_recipe, shown_runs

UPLOAD = "upload:"
ROW = "row:"
_MOST_COMPRESSED = 12
_OTHERS = 6  # examples offered for a model that has none of its own


@st.cache_resource(show_spinner=False, on_release=lambda engine: engine.close())
def engine() -> Engine:
    """The worker processes of this server, the ordinary one warmed up with the first model."""
    started = Engine(device=os.environ.get("FLUOROSCOPE_DEVICE", "auto"), workspace=place())
    started.warm(reference(next(iter(models()))))
    return started


@st.cache_resource(show_spinner=False)
def place() -> Workspace:
    """The folder of results and uploads."""
    return workspace()


def models() -> dict[str, ModelCard]:
    """Models whose packages are installed, by name; never empty in a working installation."""
    return _installed() | run_models() | compressed_models() | own_models()


@st.cache_resource(show_spinner=False, ttl=2)
def _installed() -> dict[str, ModelCard]:
    """Those that packages announce, as far as what they need is installed."""
    return {name: card for name, card in catalogue().items() if not missing(card)}


@st.cache_data(show_spinner=False, ttl=2)
def own_models() -> dict[str, ModelCard]:
    """The models that people brought to the workspace, and those that their own code makes, as far
    as the settings list it and it was called once.
    """
    return _askable((*own.names(), *settings.models()))


@st.cache_data(show_spinner=False, ttl=2)
def compressed_models() -> dict[str, ModelCard]:
    """The smaller models of the workspace, the newest first; at most twelve."""
    return _askable(compressed.names(newest=_MOST_COMPRESSED))


@st.cache_data(show_spinner=False, ttl=2)
def run_models() -> dict[str, ModelCard]:
    """The models that runs have made, the newest first; not those announced by a name."""
    announced = {card.folder for card in catalogue().values()}
    asked = {n: shown for n, shown in shown_runs(place()).items() if shown.recipe.task in ADAPTERS}
    return _askable(f"run:{n}" for n, shown in asked.items() if shown.run.folder not in announced)


def _askable(names: Iterable[str]) -> dict[str, ModelCard]:
    """Those that can be asked."""
    found = {}
    for name in names:
        with suppress(FluoroscopeError), at_once():
            found[name] = card(name)
    return found


def model_card(name: str) -> ModelCard:
    """The card of a model that is listed, or of a folder that a person named, ``hf:/path``, or the
    file of an estimator. What is on a hub is never fetched because an address says so.

    Raises ``UnknownName``, and ``BadModel`` for a folder that holds no such model.
    """
    known = models()
    if name in known:
        return known[name]
    if not is_path(name):
        raise UnknownName.of("model", name, known)
    with at_once():  # ``dashboard.bringing.arriving`` has it opened first
        return card(name)


def is_path(name: str) -> bool:
    """Whether a name is that of a folder, or of an estimator's file, on this machine."""
    if name.startswith(("/", "~")):
        return estimator.knows(name)
    return name.startswith((f"{PREFIX}/", f"{PREFIX}~"))


def model_ref(name: str) -> ModelRef:
    """The reference of a model as it is on disk now."""
    with at_once():
        return reference(name)


def items(model: str) -> tuple[GalleryItem, ...]:
    """The bundled examples of a model."""
    if compressed.knows(model):
        return items(str(model_card(model).raw["of"]))
    if model.startswith("run:"):
        shown = shown_runs(place()).get(model.removeprefix("run:").partition("@")[0])
        return items_of_recipe(shown.recipe.name) if shown else ()
    if is_path(model) or own.knows(model):
        return examples_like(model_card(model))[:_OTHERS]
    return examples_for(model)


def example(name: str) -> Example:
    """The bytes of a bundled example or of an upload. Raises ``UnknownName`` or ``BadInput``."""
    if name.startswith(UPLOAD):
        return place().read_upload(name.removeprefix(UPLOAD))
    if name.startswith(ROW):
        model, row = row_of(name)
        return dataset(model, data_of_row(name))[row]
    return gallery_item(name).example()


def row_name(model: str, row: int) -> str:
    """The name of an example of a model's data in hand: of those that ship with it, or with the
    person's own data after an ``@``.
    """
    own = state.selection().data
    return f"{ROW}{model}:{row}{'@' if own else ''}{own}"


def data_of_row(name: str) -> str:
    """Which data a name that ``row_name`` made is of."""
    return name.rpartition(":")[2].partition("@")[2]


def row_of(name: str) -> tuple[str, int]:
    """The model and the row of a name that ``row_name`` made.

    Raises ``UnknownName`` for any other, or when the model or its data have no such row.
    """
    model, _, rest = name.removeprefix(ROW).rpartition(":")
    text, _, own = rest.partition("@")
    if name.startswith(ROW) and text.isdecimal() and len(text) < 10:
        with suppress(BadInput):
            if int(text) < len(dataset(model, own)):
                return model, int(text)
    raise UnknownName(f"There is no example '{name[:80]}'.", "Choose another.")


def dataset(model: str, own: str | None = None) -> Dataset:
    """The data in hand of a model: the person's own that the selection, or ``own``, names, else
    those that ship with it.

    Raises ``UnknownName``, and ``BadInput`` when there are none, or when the worker has not looked
    through the person's own yet.
    """
    name = state.selection().data if own is None else own
    if not name:
        return _dataset(model, "", (0, 0))
    call = survey_call(model, name)
    if not stored(call):
        raise BadInput("These data have not been looked at yet.", "Open the Evaluation page.")
    return _dataset(model, name, tuple(call.parameters["stamp"]))


@st.cache_resource(show_spinner=False, max_entries=8)
def _dataset(model: str, own: str, stamp: tuple[int, int]) -> Dataset:
    if not own:
        return shipped(model_card(model))
    found = kept_data(place(), InHand.parsed(own).key)
    return replace(shipped(model_card(model), **asked(place(), own)), name=found.name)


def survey_call(model: str, own: str) -> Call:
    """The call that looks through data that a person brought.

    Raises ``BadInput`` when they are not kept here.
    """
    stamp = kept_data(place(), InHand.parsed(own).key).stamp
    return Call("survey_data", model_ref(model), (), {**asked(place(), own), "stamp": stamp})


def survey(model: str, own: str) -> DataSurvey | None:
    """What the worker found in data that a person brought; None before it has looked."""
    with suppress(FluoroscopeError):
        call = survey_call(model, own)
        if stored(call):
            found: DataSurvey = handle(call).result()
            return found
    return None


def cards(model: str, folder: str) -> bytes:
    """What is shown of each of a model's examples under the pointer, as one file."""
    return _cards(model, folder, state.selection().data)


@st.cache_data(show_spinner=False, max_entries=8)
def _cards(model: str, folder: str, own: str) -> bytes:
    data, task = dataset(model, own), model_card(model).task
    return cards_of(data, open_capture(folder), task, small_pictures(model, own))


def small_pictures(model: str, own: str) -> Callable[[int], bytes]:
    """A picture by its row, as a file that is safe to decode here: what ships with a model, or what
    the worker made of a person's own; empty where it made none.
    """
    if not own:
        data = dataset(model, "")
        return lambda row: data[row].data
    found = survey(model, own)
    return (lambda row: b"") if found is None else found.picture


def keep_upload(name: str, data: bytes) -> str:
    """Store an uploaded file and return the name a selection knows it by."""
    if not data:
        raise BadInput(f"'{name}' is empty (0 bytes).", "Choose another file.")
    return UPLOAD + place().save_upload(name, data)


@st.cache_data(show_spinner=False, max_entries=8)
def text_list(name: str, column: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts in an uploaded table or text file, as ``manyexamples.texts`` reads them."""
    return manyexamples.texts(example(name), column)


@st.cache_data(show_spinner=False, max_entries=8)
def row_list(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first rows of an uploaded table, as ``manyexamples.rows`` reads them."""
    return manyexamples.rows(example(name))


@st.cache_data(show_spinner=False, max_entries=400)
def thumbnail(name: str, size: int = 112) -> str:
    """A bundled example as a small ``data:`` address. Uploads are never decoded here."""
    if not name.startswith(ROW):
        return thumbnails.address(gallery_item(name).path.read_bytes(), size)
    model, row = row_of(name)
    return thumbnails.address(small_pictures(model, data_of_row(name))(row), size)


def mean_picture(model: str, rows: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
    """The mean of pictures of a model's data, uint8 ``[row, column(, channel)]``; None when they
    differ in size. Of many, an even spread of 2,000.
    """
    return _mean_picture(model, rows, state.selection().data)


@st.cache_data(show_spinner=False, max_entries=64)
def _mean_picture(model: str, rows: tuple[int, ...], own: str) -> npt.NDArray[np.uint8] | None:
    return thumbnails.mean(rows, small_pictures(model, own))


@st.cache_resource(show_spinner=False, max_entries=64)
def event_log(folder: str) -> EventLog:
    """The event files of a run, read on where they were left the last time."""
    return EventLog(Path(folder))


def history(folder: Path) -> History:
    """What a run has recorded up to now."""
    log = event_log(str(folder))
    log.reload()
    return log.history()


def handle(call: Call) -> Handle:
    """The handle of a call in this browser session; handed in the first time it is asked for.

    A failed or cancelled call stays so until ``forget``.
    """
    handles = state.handles()
    state.wanted().add(call.key)
    if call.key not in handles:
        handles[call.key] = engine().submit(call, owner=state.visitor())
    return handles[call.key]


def cancel(handle: Handle) -> None:
    """Cancel a call for this browser session; others who wait for the same are not disturbed."""
    engine().give_up(handle, state.present)


def let_go() -> None:
    """Cancel what this browser session began by itself and what the page just drawn does not show,
    so that nobody waits behind an example that was only passed by. What was asked for by a click
    goes on. Once after each drawing.
    """
    wanted, handles = state.wanted(), state.handles()
    for key in set(handles) - wanted - state.asked():
        if handles[key].state in ("waiting", "running"):
            cancel(handles.pop(key))
    wanted.clear()


def forget(call: Call) -> None:
    """Let a failed or cancelled call be handed in again."""
    state.handles().pop(call.key, None)


def stored(call: Call) -> bool:
    """Whether the result of a call is there already, so that showing it costs nothing."""
    known = state.handles().get(call.key)
    return engine().stored(call) if known is None else known.state == "done"


def under_way(call: Call) -> bool:
    """Whether a call is computed at this moment, begun before a reload or by somebody else."""
    return engine().under_way(call)
