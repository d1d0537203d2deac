"""The sidebar: the model in hand and the example in hand, the same on every page."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core import settings
from core.data.textlist import TABLES
from core.errors import FluoroscopeError
from core.models import estimator, huggingface
from core.models.card import ModelCard
from core.models.exported.held import shown, written
from core.models.huggingface import PREFIX
from core.paths import located
from core.tasks import AxisKind
from dashboard import cached, gallery, manyrows, manytexts, pickedrows, state
from dashboard.keeping import datachoice, inhand
from dashboard.wording import words

# What another model does not share.
FRESH = {
    "example": "",
    "baseline": "",
    "original": "",
    "picked": "",
    "methods": (),
    "target": "top",
    "layer": -1,
    "head": 0,
    "show": "",
    "place": 0,
    "off": (),
    "subset": "",
    "module": "",
    "unit": -1,
    "tint": "",
    "other": "",
    "concepts": (),
    "moved": "",
}
# What another text does not share.
_MOST_PICTURES, _MOST_TEXTS = 24, 200
_UNEDITED = {"original": "", "picked": ""}
# What Streamlit's file chooser offers; what is accepted is decided by content, not by name.
_UPLOADS: dict[AxisKind, tuple[str, list[str], str]] = {
    "pixels": (
        "Your own picture",
        ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"],
        "PNG, JPEG, WebP, GIF, BMP or TIFF",
    ),
    "tokens": (
        "A text, or a table of many",
        ["txt", "md", *(suffix[1:] for suffix in TABLES)],
        "Plain text; or CSV, TSV, JSON Lines or Parquet with a column of texts",
    ),
    "columns": (
        "A table of rows",
        ["json", *(suffix[1:] for suffix in TABLES)],
        "CSV, TSV, JSON Lines or Parquet with the columns that the model reads",
    ),
}


def draw() -> None:
    """Model, example and upload; fills empty fields of the selection with the first choice."""
    chosen = state.selection()
    models = cached.models()
    try:
        models |= {chosen.model: cached.model_card(chosen.model)}
    except FluoroscopeError as error:
        lost, first, notice = chosen.model, next(iter(models)), state.told()
        chosen = state.change(model=first, **(FRESH if lost else {}))
        if not lost:
            state.tell(notice)
        elif not cached.is_path(lost):
            state.tell(f"There is no model '{lost}' here, so the first one is shown.")
        else:
            state.tell(f"{error} The first model is shown.")
    chosen = datachoice.settled(chosen)
    if chosen.data:
        inhand.look(chosen)
    titles = {each: each for each in settings.models()}  # also of those not made yet
    titles |= {name: each.title for name, each in models.items()}
    state.stash()  # for when the next one cannot be had
    with st.sidebar:
        st.selectbox(
            "Model",
            sorted(titles, key=lambda name: name in settings.models()),
            format_func=titles.get,
            **state.bind("model", chosen.model, also=FRESH),
        )
        with st.container(horizontal=True, gap="small"):
            with st.popover("Open a model", type="tertiary", icon=":material/folder_open:"):
                _folder()
            datachoice.bring(chosen)
        card = models[chosen.model]
        measured = card.raw.get("metrics", {})
        count = card.raw["parameters"]
        size = "no weights to look at" if count is None else f"{count:,} parameters"
        size = size.replace(",", "\u2009")
        accuracy, bleu = measured.get("accuracy"), measured.get("bleu")
        source = "as reported" if measured.get("reported") else "on held-out data"
        quality = f"  \n{accuracy:.1%} accurate {source}" if accuracy else ""
        quality = quality or (f"  \nBLEU {bleu:.1f} {source}" if bleu else "")
        classes = f"{len(card.classes):,} classes · " if card.classes else ""
        st.caption(f"{classes}{size}{quality}{_held(card)}")
        datachoice.draw(chosen)
        _example(chosen)
    if notice := state.told():
        st.warning(state.plain(notice))


def _held(card: ModelCard) -> str:
    """What further inputs of a network are held at: it is so on every page."""
    values, start = card.raw.get("held") or {}, written(card.raw.get("found", {}))
    parts = [
        f"{state.plain(name)} is held at {shown(value)}"
        for name, value in values.items()
        if name != start
    ]
    return "".join(f"  \n{part}" for part in parts)


def _folder() -> None:
    """A model folder, or the file of an estimator, on the machine that runs Fluoroscope."""
    path = st.text_input(
        "Folder of a Hugging Face model, or a .skops or .onnx file",
        placeholder="~/models/my-bert",
        help="A folder has config.json, model.safetensors and a tokenizer; a .skops file holds a "
        "classifier or pipeline of scikit-learn; beside an .onnx file lies a .onnx.json with its "
        "classes and columns. All on the machine that runs Fluoroscope. Code that comes with a "
        "model is never run.",
    )
    if not state.pressed("Open", "open-folder", disabled=not path.strip()):
        return
    try:
        place = located(path.strip())
        name = str(place) if estimator.knows(str(place)) else f"{PREFIX}{place}"
        if name.startswith(PREFIX):
            huggingface.named(name)  # what is in it is looked at apart
        else:
            cached.model_card(name)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    state.change(model=name, **FRESH)
    st.rerun()


def _example(chosen: state.Selection) -> None:
    items = cached.items(chosen.model)
    usual = _first_rows(chosen) or {item.name: item.title for item in items}
    known = list(usual)
    name = chosen.example
    if not name.startswith(cached.UPLOAD) and name not in known and not _row(name, chosen.model):
        lost, name = name, known[0] if known else manyrows.first_example(chosen.model)
        notice = state.told()
        state.change(example=name)
        if lost and lost not in {item.name for item in items}:
            notice = f"There is no example '{lost}' for this model, so the first one is shown."
        state.tell(notice)
    kind = cached.model_card(chosen.model).task.axis
    titles = _titles(chosen, usual, name)
    if kind == "pixels":
        gallery.strip(
            [
                gallery.Thumbnail(each, title, cached.thumbnail(each))
                for each, title in titles.items()
            ],
            name,
            lambda picked: state.change(example=picked),
        )
    else:
        if name not in titles:
            titles[name] = "Your own text" if kind == "tokens" else "Your own row"
        st.selectbox(
            "Example",
            list(titles),
            format_func=titles.get,
            **state.bind("example", name, also=_UNEDITED),
        )
    label, suffixes, kinds = _UPLOADS[kind]
    upload = st.file_uploader(
        label,
        type=suffixes,
        key=f"upload:{kind}",
        help=f"{kinds}. It stays on the machine that runs Fluoroscope.",
    )
    if upload is not None:
        _take(upload, name, chosen.table)


def _first_rows(chosen: state.Selection) -> dict[str, str]:
    """Some examples of a person's own data in hand, with their titles."""
    found = cached.survey(chosen.model, chosen.data) if chosen.data else None
    if found is None or found.problem:
        return {}
    if not len(found.offsets):
        texts = enumerate(found.texts[:_MOST_TEXTS])
        return {cached.row_name(chosen.model, row): each for row, each in texts}
    with suppress(FluoroscopeError):
        ids = cached.dataset(chosen.model).ids
        count = len(found.offsets) - 1  # of these there are small pictures; some of every class
        rows = dict.fromkeys(count * place // _MOST_PICTURES for place in range(_MOST_PICTURES))
        return {cached.row_name(chosen.model, row): ids[row] for row in rows}
    return {}


def _row(name: str, model: str) -> bool:
    """Whether this is an example of the model's data."""
    with suppress(FluoroscopeError):
        return cached.row_of(name)[0] == model
    return False


def _titles(chosen: state.Selection, usual: dict[str, str], name: str) -> dict[str, str]:
    """The examples offered: those that were picked, where there are any, or the bundled ones, with
    the one in hand.
    """
    picked = pickedrows.subset(chosen.subset, chosen.model)
    pictures = cached.model_card(chosen.model).task.axis == "pixels"
    if picked is None:
        if pictures:
            st.markdown("Example")
        if not usual and not pictures:
            usual = _of_data(chosen.model)
        if name in usual or not _row(name, chosen.model):
            return usual
        return {name: _title(name), **usual}
    most = _MOST_PICTURES if pictures else _MOST_TEXTS
    st.markdown(f"**{state.plain(picked.title)}** · picked")
    shown = [cached.row_name(chosen.model, row) for row in picked.rows[:most]]
    if len(picked) > most:
        st.caption(f"The first {most} of {len(picked):,}.")
    if state.pressed("All examples again", "no-subset", type="tertiary"):
        state.change(subset="")
        st.rerun()
    if name not in shown and not name.startswith(cached.UPLOAD):
        shown.insert(0, name)
    return {each: usual.get(each) or _title(each) for each in shown}


def _of_data(model: str) -> dict[str, str]:
    """The first examples of the data that lie beside a model; none where there are no data."""
    with suppress(FluoroscopeError):
        count = min(len(cached.dataset(model)), _MOST_TEXTS)
        names = (cached.row_name(model, row) for row in range(count))
        return {name: _title(name) for name in names}
    return {}


def _title(name: str) -> str:
    """What an example of the data is called: its text, or its number."""
    if not name.startswith(cached.ROW):
        return name
    model, row = cached.row_of(name)
    data = cached.dataset(model, cached.data_of_row(name))
    if cached.model_card(model).task.axis == "tokens":
        return words(data[row].data, "tokens", 60)
    return data.ids[row]


def _take(upload: UploadedFile, shown: str, table: str) -> None:
    """Keep an upload and show it at once; later a button brings it back. A table of texts is shown
    to pick from.
    """
    try:
        kept = cached.keep_upload(upload.name, upload.getvalue())
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    new = state.is_new(upload.file_id)
    if manytexts.is_table(upload.name):
        if new or (
            kept != table and state.pressed("Show the table again", "table", width="stretch")
        ):
            state.change(table=kept, column="")
            state.taken(upload.file_id)
            st.rerun()
        return
    if kept != shown and (new or state.pressed("Show it again", "upload", width="stretch")):
        state.change(example=kept, **_UNEDITED)
        state.taken(upload.file_id)
        st.rerun()
    state.taken(upload.file_id)
    lines = manytexts.many_lines(kept) and kept != table
    if lines and state.pressed("Take each line as a text", "lines", width="stretch"):
        state.change(table=kept, column="")
        st.rerun()
