"""From a selection to core calls: the only file with ``st.cache_*``.

The engine is shared by all sessions of the server; results come back through its handles, so
nothing here waits.
"""

from __future__ import annotations

import base64
import io
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import streamlit as st
from PIL import Image

from core.compression import source as compressed
from core.data.dataset import Dataset
from core.data.dataset import dataset as shipped
from core.data.gallery import GalleryItem, examples_for, gallery, gallery_item
from core.data.ownexamples import rows
from core.data.subset import Subset, kept
from core.data.text import decode
from core.data.textlist import MOST, TABLES, read_list
from core.engine.call import Call
from core.engine.executor import Handle
from core.engine.process import ProcessExecutor
from core.errors import BadInput, FluoroscopeError, UnknownName
from core.models import estimator
from core.models.card import ModelCard
from core.models.catalogue import ADAPTERS, card, catalogue, missing, reference
from core.models.huggingface import PREFIX
from core.models.reference import ModelRef
from core.results.activations import open_capture
from core.results.history import History
from core.tasks import Example
from core.training.events import EventLog
from core.workspace import Workspace, workspace
from dashboard import state
from dashboard.projecting.cards import cards as cards_of
from dashboard.runs import shown_runs

UPLOAD = "upload:"
ROW = "row:"
_MOST_MEAN = 2_000
_MOST_COMPRESSED = 12
_OTHERS = 6  # examples offered for a model that has none of its own


@st.cache_resource(show_spinner=False, on_release=lambda engine: engine.close())
def engine() -> ProcessExecutor:
    """The worker process of this server, warmed up with the first model."""
    started = ProcessExecutor(
        device=os.environ.get("FLUOROSCOPE_DEVICE", "auto"), workspace=place()
    )
    started.warm(reference(next(iter(models()))))
    return started


@st.cache_resource(show_spinner=False)
def place() -> Workspace:
    """The folder of results and uploads."""
    return workspace()


def models() -> dict[str, ModelCard]:
    """Models whose packages are installed, by name; never empty in a working installation."""
    installed = {name: card for name, card in catalogue().items() if not missing(card)}
    return installed | run_models() | compressed_models()


@st.cache_data(show_spinner=False, ttl=2)
def compressed_models() -> dict[str, ModelCard]:
    """The smaller models of the workspace that can be asked, the newest first; at most twelve."""
    found = {}
    for name in compressed.names(newest=_MOST_COMPRESSED):
        with suppress(FluoroscopeError):
            found[name] = card(name)
    return found


@st.cache_data(show_spinner=False, ttl=2)
def run_models() -> dict[str, ModelCard]:
    """The models that runs have made and that can be asked, the newest first; not those announced
    by a name of their own.
    """
    announced = {card.folder for card in catalogue().values()}
    found = {}
    for name, shown in shown_runs(place()).items():
        if shown.recipe.task in ADAPTERS and shown.run.folder not in announced:
            with suppress(FluoroscopeError):
                found[f"run:{name}"] = card(f"run:{name}")
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
    return card(name)


def is_path(name: str) -> bool:
    """Whether a name is that of a folder, or of an estimator's file, on this machine."""
    if name.startswith(("/", "~")):
        return estimator.knows(name)
    return name.startswith((f"{PREFIX}/", f"{PREFIX}~"))


def model_ref(name: str) -> ModelRef:
    """The reference of a model as it is on disk now."""
    return reference(name)


def items(model: str) -> tuple[GalleryItem, ...]:
    """The bundled examples of a model."""
    if compressed.knows(model):
        return items(str(model_card(model).raw["of"]))
    if model.startswith("run:"):
        shown = shown_runs(place()).get(model.removeprefix("run:").partition("@")[0])
        return items_of_recipe(shown.recipe.name) if shown else ()
    if is_path(model):
        kind = model_card(model).task.axis
        endings = {"tokens": (".txt",), "columns": (), "pixels": (".png", ".jpg")}[kind]
        return tuple([each for each in gallery() if each.path.suffix in endings][-_OTHERS:])
    return examples_for(model)


def items_of_recipe(recipe: str) -> tuple[GalleryItem, ...]:
    """The bundled examples that suit what a recipe trains."""
    kinds = {"digits": "digits_cnn", "fashion": "fashion_cnn", "hierarchical": "fashion_cnn"}
    model = next((model for start, model in kinds.items() if recipe.startswith(start)), recipe)
    return examples_for(model)


def example(name: str) -> Example:
    """The bytes of a bundled example or of an upload.

    Raises ``UnknownName`` or ``BadInput``.
    """
    if name.startswith(UPLOAD):
        return place().read_upload(name.removeprefix(UPLOAD))
    if name.startswith(ROW):
        model, row = row_of(name)
        return dataset(model)[row]
    return gallery_item(name).example()


def row_name(model: str, row: int) -> str:
    """The name of an example of the data that ship with a model."""
    return f"{ROW}{model}:{row}"


def row_of(name: str) -> tuple[str, int]:
    """The model and the row of a name that ``row_name`` made.

    Raises ``UnknownName`` for any other, or when the model or its data have no such row.
    """
    model, _, text = name.removeprefix(ROW).rpartition(":")
    if name.startswith(ROW) and text.isdecimal() and len(text) < 10:
        with suppress(BadInput):
            if int(text) < len(dataset(model)):
                return model, int(text)
    raise UnknownName(f"There is no example '{name[:80]}'.", "Choose another.")


@st.cache_resource(show_spinner=False, max_entries=8)
def dataset(model: str) -> Dataset:
    """The data that ship with a model.

    Raises ``UnknownName``, and ``BadInput`` when there are none.
    """
    return shipped(model_card(model))


@st.cache_data(show_spinner=False, max_entries=8)
def cards(model: str, folder: str) -> bytes:
    """What is shown of each of a model's examples under the pointer, as one file."""
    return cards_of(dataset(model), open_capture(folder), model_card(model).task)


def subset(key: str, model: str) -> Subset | None:
    """The examples in hand, if they are of the model's data; nothing for an empty or lost key."""
    if not key:
        return None
    with suppress(FluoroscopeError):
        found = kept(place(), key)
        if found.data.fingerprint == dataset(model).fingerprint:
            return found
    return None


def keep_upload(name: str, data: bytes) -> str:
    """Store an uploaded file and return the name a selection knows it by."""
    if not data:
        raise BadInput(f"'{name}' is empty (0 bytes).", "Choose another file.")
    return UPLOAD + place().save_upload(name, data)


@st.cache_data(show_spinner=False, max_entries=8)
def text_list(name: str, column: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts in an uploaded table, or in the lines of a text file, and notes on what was left
    out.

    Raises ``BadInput``.
    """
    file = example(name)
    if Path(file.name).suffix.lower() not in TABLES:
        lines = tuple(line.strip() for line in decode(file).splitlines() if line.strip())
        return lines[:MOST], (f"The first {MOST:,} lines.",) if len(lines) > MOST else ()
    with TemporaryDirectory() as folder:  # under its own name, which messages say
        path = Path(folder) / file.name
        path.write_bytes(file.data)
        found, notes = read_list(path, column)
    return tuple(each.data.decode("utf-8", "replace") for each in found), notes


@st.cache_data(show_spinner=False, max_entries=8)
def row_list(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first rows of an uploaded table as JSON objects, and notes on what was left out.

    Raises ``BadInput``.
    """
    file = example(name)
    with TemporaryDirectory() as folder:  # under its own name, which messages say
        path = Path(folder) / file.name
        path.write_bytes(file.data)
        found = rows(path, "columns")
        count = min(len(found), MOST)
        texts = tuple(each.data.decode("utf-8", "replace") for each in found.examples(range(count)))
    more = (f"The first {MOST:,} of {len(found):,} rows.",) if len(found) > MOST else ()
    return texts, (*found.notes, *more)


@st.cache_data(show_spinner=False, max_entries=400)
def thumbnail(name: str, size: int = 112) -> str:
    """A bundled example as a small ``data:`` address. Uploads are never decoded here."""
    file = io.BytesIO(example(name).data) if name.startswith(ROW) else gallery_item(name).path
    with Image.open(file, formats=("PNG", "JPEG")) as image:
        picture = image.convert("RGB")
        if max(picture.size) < size:
            picture = picture.resize((size, size), Image.Resampling.NEAREST)
        picture.thumbnail((2 * size, 2 * size))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG" if max(image.size) < size else "JPEG", quality=85)
    kind = "png" if buffer.getvalue()[:4] == b"\x89PNG" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@st.cache_data(show_spinner=False, max_entries=64)
def mean_picture(model: str, rows: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
    """The mean of pictures that ship with a model, uint8 ``[row, column(, channel)]``; None when
    they differ in size. Of many, an even spread of 2,000.
    """
    data = dataset(model)
    total: npt.NDArray[np.float64] | None = None
    taken = rows[:: -(-len(rows) // _MOST_MEAN)]
    for row in taken:
        with Image.open(io.BytesIO(data[row].data), formats=("PNG", "JPEG")) as image:
            pixels = np.asarray(image.convert("RGB" if image.mode == "RGB" else "L"), np.float64)
        if total is not None and total.shape != pixels.shape:
            return None
        total = pixels if total is None else total + pixels
    if total is None:
        return None
    mean = np.rint(total / len(taken)).astype(np.uint8)
    times = max(1, 224 // max(mean.shape[:2]))
    return mean.repeat(times, axis=0).repeat(times, axis=1)


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
