"""Your model: bring a network as one file, say what it is for, and see what it sees."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import streamlit as st

from core import settings
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.models.card import ModelCard
from core.models.exported import own
from core.models.formats import arrival
from core.results import Prediction
from core.tasks import Tokens
from dashboard import cached, downloads, ruler, sidebar, state, waiting
from dashboard.bringing import arriving, findings, form
from dashboard.checking import report
from dashboard.figures.prediction import probability_bars
from dashboard.theme import is_dark

_PLAIN = """import torch

program = torch.export.export(model.eval(), (inputs,))
torch.export.save(program, "model.pt2")"""
_PACKED = """import core

core.pack(
    model, inputs, "model.pt2", classes=["cat", "dog"],
    preprocessing={"size": 224, "mean": 0.5, "std": 0.5},
)"""
_WIDE = 760
_ENDINGS = ["pt2", "zip", "safetensors", "pt", "pth", "ckpt", "onnx", "skops"]
_GIVEN = (
    ("Images", "floats [example, channel, row, column]", "class names, mean and std"),
    ("Tables", "floats [example, column], one input or several", "names of columns and classes"),
    ("Texts", "ids [example, token]; masks are filled in", "tokenizer.json, class names"),
    ("Language models", "ids [example, token]", "tokenizer.json"),
    ("Encoder–decoders", "the same twice: the text, and what was written so far", "tokenizer.json"),
)


def main() -> None:
    """Draw the page: the file, or the model of one's own that is in hand."""
    st.markdown(
        "Can I look into a network of my own? One file is enough: it is looked over without "
        "running any code in it, and opened in a process of its own."
    )
    now = state.selection()
    wide = ruler.width() >= _WIDE
    left, right = st.columns([1, 1], gap="large") if wide else (st.container(), st.container())
    with left:
        _upload()
    file = arrival.waiting(cached.place(), now.brought)
    if file is not None:
        with left:
            found = arriving.brought(file, now.brought)
        if found is not None and found.added is not None:
            _take(found.added)
        elif found is not None:  # the form asks for what is missing
            state.tell(found.missing)
            st.rerun()
    staged = None if file is not None else _staged(now)
    if staged is None:
        with right:
            st.markdown("**How to make the file**, with PyTorch alone")
            st.code(_PLAIN, language="python")
            st.markdown("or with what it is for in the same file")
            st.code(_PACKED, language="python")
        with left:
            st.markdown("**What the network may take**, and what the page asks for")
            kinds = pd.DataFrame(_GIVEN, columns=["", "Input", "Asked for"]).set_index("")
            st.table(kinds)
            st.caption(
                "Of several inputs you choose the one to look into; the others are held at values. "
                "Weights, layers and shapes travel in the file; code does not. Pickles, operators "
                "of other libraries and objects of your own are refused with a reason. The same "
                "file brought twice is kept once, on the Workspace page. No file is needed for a "
                "function of your own that makes a network, once the settings list it: see there."
            )
        return
    with left:
        added = None if staged.kind else form.draw(staged)
        if staged.kind:
            st.caption("To name it or its classes otherwise: `fluoroscope add FILE --classes …`")
    if added is not None:
        _take(added)
    with right:
        if staged.known:
            _answer(now, cached.model_card(now.model))
        about = cached.model_card(now.model) if staged.known else None
        shown = pd.DataFrame(findings.rows(staged.found, about)).map(state.plain).set_index("")
        st.table(shown.rename(columns={"found": "What was found"}))
    if staged.known:
        st.markdown("#### Check-up")
        report.panel(cached.model_ref(now.model))


def _upload() -> None:
    above = st.container()
    with st.popover("Weights alone, or a graph", type="tertiary", icon=":material/tune:"):
        card = form.beside()
    upload = above.file_uploader(
        "A .pt2 file of torch.export.save, an .onnx graph, or a zip of a folder of transformers",
        type=_ENDINGS,
        key="bring",
        help="It stays on the machine that runs Fluoroscope, where `fluoroscope add` takes larger "
        "files.",
        max_upload_size=int(settings.value("upload_mb")),
    )
    if upload is None or not state.is_new(token := f"{upload.file_id} {card}"):
        return
    try:
        state.change(brought=arrival.keep(cached.place(), upload.name, upload.getvalue(), card))
    except FluoroscopeError as error:
        state.tell(str(error))
    state.taken(token)
    st.rerun()


def _staged(now: state.Selection) -> own.Staged | None:
    """The file that waits for what is missing, else the model of one's own in hand."""
    root = cached.place().root / "models"
    if re.fullmatch(r"[0-9a-f]{64}", now.brought):
        folder = root / f".new-{now.brought[:32]}"
        if (folder / own.FOUND).is_file():
            return own.at(folder)
    if now.model.startswith(own.PREFIX):
        return own.at(cached.model_card(now.model).folder)
    return None


def _take(added: own.Added) -> None:
    """Put a model in hand."""
    cached.own_models.clear()
    state.change(model=added.name, brought="", **sidebar.FRESH)
    if added.notes:
        told = " ".join(f"{each[0].upper()}{each[1:]}." for each in added.notes)
        state.tell(f"{told} Say it better on the page Your model, if it is not so.")
    st.rerun()


def _answer(now: state.Selection, card: ModelCard) -> None:
    """What the network sees of the example in hand, and says to it."""
    try:
        what, model = cached.example(now.example), cached.model_ref(now.model)
    except FluoroscopeError:
        st.caption("Choose an example on the left, or bring one, to see what the network sees.")
        return
    predicting = cached.handle(Call("predict", model, (what,), urgent=True))
    if not waiting.settled(predicting):
        waiting.watch({"Prediction": predicting})
        return
    if waiting.failed("Prediction", predicting):
        return
    prediction: Prediction = predicting.result()[0]
    picture, bars = st.columns([2, 3], vertical_alignment="center")
    if prediction.picture is not None:
        times = max(1, 168 // max(prediction.picture.shape[:2]))
        shown = np.repeat(np.repeat(prediction.picture, times, 0), times, 1)
        picture.image(shown, caption="What the network sees")
    elif isinstance(prediction.axis, Tokens):
        picture.caption(f"{len(prediction.axis.pieces):,} tokens")
    figure = probability_bars(prediction, count=5, dark=is_dark(st.context.theme.type))
    bars.plotly_chart(figure, theme=None, config=downloads.CHART, key="own-answer")
    for note in prediction.notes:
        st.caption(state.plain(note))


main()
