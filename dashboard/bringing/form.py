"""The form for what a program does not tell: the task, the classes, how inputs are prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from core.errors import FluoroscopeError
from core.models.catalogue import catalogue, missing
from core.models.exported import choice, held, own
from core.models.exported.description import TASKS, WRITING, Description, guessed, token
from core.tasks import Task
from dashboard import state

_SCALES: dict[str, tuple[list[float], list[float]]] = {
    "0 to 1": ([0.0], [1.0]),
    "−1 to 1": ([0.5], [0.5]),
    "ImageNet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}
_OWN = "Other: mean and std above"
_MOST_TYPED = 100  # numbers in one line
_FITS = {"cover": "Is cut to fill the frame", "glyph": "Has one object, centred"}


def draw(staged: own.Staged) -> own.Added | None:
    """The form, filled with what is known; what was made of it when it is sent."""
    staged = _looked_into(staged)
    said, found = staged.said, staged.found
    looked = choice.looked(found)
    task = said.task or guessed(found) or Task.IMAGE_CLASSIFICATION
    chosen = st.selectbox(
        "Task",
        TASKS,
        index=TASKS.index(task),
        format_func=lambda each: each.value.replace("-", " ").capitalize(),
        key=f"task:{staged.folder.name}:{looked[0] if len(looked) == 1 else ''}",
    )
    with st.form(f"about:{staged.folder.name}", border=False):
        about: dict[str, Any] = {"task": chosen.value, "preprocessing": {}}
        about["look_into"] = list(looked) if choice.offered(found) else []
        about["title"] = st.text_input(
            "Title", said.title or Path(staged.origin["file"]).stem, max_chars=80
        )
        if chosen not in WRITING:
            names = st.text_area(
                f"Classes, one per line, in the order of the {found['answer'][0]} outputs",
                "\n".join(said.classes),
                height=110,
            )
            about["classes"] = [each.strip() for each in names.splitlines() if each.strip()]
        if chosen is Task.IMAGE_CLASSIFICATION:
            about["preprocessing"] = _pictures(staged)
        elif chosen is Task.TABULAR_CLASSIFICATION:
            about["preprocessing"] = _columns(staged)
        else:
            upload = st.file_uploader("tokenizer.json", type=["json"], max_upload_size=64)
            if upload is not None:
                about["tokenizer"] = {"json": upload.getvalue().decode(errors="replace")}
            elif said.tokenizer:
                st.caption("Its tokenizer came along.")
        about["held"] = _held(staged, about.get("tokenizer") or said.tokenizer)
        label = "Save" if staged.known else "Use this model"
        sent = st.form_submit_button(label, type="primary")
    if not sent:
        return None
    try:
        return own.settle(staged, Description.read(json.dumps(about)))
    except FluoroscopeError as error:
        state.tell(str(error))
        st.rerun()


def beside() -> str:
    """What goes with weights or a graph, which do not say what they are for, as a card in JSON;
    empty when nothing is said.
    """
    st.caption(
        "Weights (.safetensors, .pt, .pth, .ckpt) need an architecture: say it here, then choose "
        "the file. Where an .onnx graph has its weights in other files, choose a zip of them all."
    )
    known = catalogue().items()
    name = st.selectbox(
        "Architecture",
        [name for name, about in known if not about.own_weights and not missing(about)],
        index=None,
        placeholder="Of a sample model",
        key="bring:architecture",
    )
    names = st.text_input("Classes, with commas", key="bring:classes", placeholder="cat, dog")
    card = st.text_area(
        "Or a card in JSON",
        key="bring:card",
        height=120,
        placeholder='{"architecture": {"model_type": "vit", …}, "classes": ["cat", "dog"]}',
        help="With a configuration of transformers, or the name of a network of timm or "
        "torchvision, and how pictures are prepared.",
    )
    if card.strip():
        return card
    said: dict[str, Any] = {"architecture": {"name": name}} if name else {}
    if classes := [each.strip() for each in names.split(",") if each.strip()]:
        said["classes"] = classes
    return json.dumps(said) if said else ""


def _pictures(staged: own.Staged) -> dict[str, Any]:
    said = staged.said.preprocessing
    first = staged.found["inputs"][0]
    made: dict[str, Any] = {}
    boxes = st.columns(4)
    for place, name in enumerate(("height", "width"), start=2):
        fixed = len(first["least"]) == 4 and first["least"][place] == first["most"][place]
        usual = int(first["least"][place] if fixed else said.get(name, 224))
        label = f"{name.capitalize()}, pixels"
        made[name] = int(boxes[place - 2].number_input(label, 1, 4096, usual, disabled=fixed))
    before = [_short([*map(float, said.get(k, [v]))]) for k, v in (("mean", 0.0), ("std", 1.0))]
    texts = [
        box.text_input(name, text, help="One number, or one for each channel with commas.")
        for name, box, text in zip(("Mean", "Std"), boxes[2:], map(_written, before), strict=True)
    ]
    known = next((name for name, each in _SCALES.items() if list(each) == before), _OWN)
    one, two = st.columns(2)
    options = [*_SCALES, _OWN]
    scale = one.selectbox("Values of a pixel become", options, index=options.index(known))
    typed = [[_number(part) for part in text.split(",")] for text in texts]
    made["mean"], made["std"] = _scaled(scale, known, typed, before)
    fits = list(_FITS)
    fit = two.selectbox(
        "A picture of another shape",
        fits,
        index=fits.index(said.get("fit", "cover")),
        format_func=_FITS.get,
    )
    return {**made, "fit": fit}


def _scaled(scale: str, known: str, typed: list[Any], before: list[Any]) -> list[Any]:
    """The mean and std of a choice, or those that were typed: what was changed counts."""
    if scale == _OWN or (scale == known and typed != before):
        return typed
    return list(_SCALES[scale])


def _written(values: list[float]) -> str:
    return ", ".join(f"{each:g}" for each in values)


def _short(values: list[float]) -> list[float]:
    return values[:1] if len(set(values)) == 1 else values


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text.strip()  # the card says what is wrong with it


def _looked_into(staged: own.Staged) -> own.Staged:
    """What is known where the input is looked into that a person chooses."""
    options = choice.offered(staged.found)
    if not options:
        return staged
    now = choice.looked(staged.found)
    wanted = st.selectbox(
        "Looked into",
        options,
        index=next((n for n, each in enumerate(options) if {*each} == {*now}), 0),
        format_func=partial(choice.told, staged.found),
        key=f"look:{staged.folder.name}",
        help="The other inputs are held at values, the same for every example.",
    )
    return own.looking(staged, wanted)


def _held(staged: own.Staged, tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """What the inputs that are not looked into are held at."""
    known = staged.found.get("held", {})
    made = {}
    for name, each in known.items():
        value = staged.said.held.get(name, each.get("unsaid", 0))
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > _MOST_TYPED:
            st.caption(f"{state.plain(name)} is held at {held.shown(value)}, as its file says")
            made[name] = value
            continue
        label, asked = f"{state.plain(name)} is held at", "One number for all, or {} with commas."
        if each.get("written"):
            label, asked = (
                "An output begins with token",
                "Its number or name, as the tokenizer has it.",
            )
        text = st.text_input(
            label,
            ", ".join(f"{number:g}" for number in numbers),
            help=asked.format(held.counted(each)),
        )
        said = [_number(part) for part in text.split(",")]
        if each.get("written") and (place := token(tokenizer, text.strip())) is not None:
            said = [place]
        made[name] = said[0] if len(said) == 1 else said
    return made


def _columns(staged: own.Staged) -> dict[str, Any]:
    features = staged.said.preprocessing.get("features", [])
    plain = [each if isinstance(each, str) else each["name"] for each in features]
    names = st.text_area("Columns, one per line, in their order", "\n".join(plain), height=110)
    wanted = [each.strip() for each in names.splitlines() if each.strip()]
    if wanted == plain:
        return {"features": features} if features else {}
    return {"features": wanted}
