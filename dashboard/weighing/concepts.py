"""Concepts: does a class lean on something that people have a word for?"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.concepts.own import packed
from core.concepts.sets import LEAST, ConceptSet, of_subset, request
from core.data import subset as subsets
from core.data.dataset import Dataset
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import ConceptScores
from core.tasks import AxisKind
from dashboard import cached, downloads, pickedrows, state, waiting
from dashboard.figures.concepts import concept_bars
from dashboard.projecting import captured
from dashboard.theme import is_dark
from dashboard.weighing.conceptsets import at_hand, glance, own
from dashboard.wording import words

_SUBSET = "subset:"
_UPLOADS: dict[AxisKind, tuple[str, list[str]]] = {
    "pixels": (
        "Pictures, or a ZIP archive of them",
        ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "zip"],
    ),
    "tokens": ("One text per line, or a table of texts", ["txt", "csv", "tsv", "jsonl", "parquet"]),
    "columns": ("A table of rows", ["csv", "tsv", "jsonl", "parquet"]),
}


def draw(now: state.Selection) -> None:
    """The class, the concepts, and how far the one leans on the others."""
    about = cached.model_card(now.model)
    if not about.classes:
        st.info(
            "Concepts are asked of classes, and this model writes. Choose one that sorts examples "
            "into classes; heads and words are looked into on the Attention page."
        )
        return
    data = captured.data_of(now)
    if data is None:
        return
    known = _sets(now, data)
    chosen = [key for key in now.concepts if key in known] or list(known)
    target = now.positive if now.positive in about.classes else about.classes[0]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox("Class", about.classes, width=220, **state.bind("positive", target))
        _own(now, data, about.task.axis)
    st.pills(
        "Concepts",
        list(known),
        format_func=lambda key: known[key].name,
        selection_mode="multi",
        label_visibility="collapsed",
        **state.bind("concepts", chosen, tuple),
    )
    sets = [known[key] for key in chosen]
    if not sets:
        st.info("These data offer no concept by themselves: give examples of your own.")
        return
    try:
        inputs, parameters = request(data, target, sets)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    call = Call("concept_scores", cached.model_ref(now.model), inputs, parameters)
    handle = cached.handle(call)
    under_way = waiting.under_way({"Concepts": handle})
    if under_way or waiting.failed("Concepts", handle):
        waiting.watch(under_way)
        return
    found: ConceptScores = handle.result()
    figure = concept_bars(found, dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="concepts")
    st.caption(
        f"Over {found.examples:,} examples of the class. A number is the TCAV score: the share of "
        "them whose score rises when a layer's answer moves towards the concept. It stands only "
        "where the concept can be told from as many examples drawn at random (5 %, corrected for "
        "all bars)."
    )
    for note in found.notes:
        st.caption(state.plain(f"{note[:1].upper()}{note[1:]}"))
    downloads.button(figure, [found], f"{now.model}.concepts"[:80])
    with st.expander("What the concepts are, and all numbers"):
        glance(now, sets)
        st.dataframe(pd.DataFrame(_rows(found)), hide_index=True)


def _sets(now: state.Selection, data: Dataset) -> Mapping[str, ConceptSet]:
    """All that can be asked about, by the key that an address knows it by."""
    found = {_slug(each.name): each for each in at_hand(now, data)}
    taken = {each.name for each in found.values()}
    kept = dict(subsets.named(cached.place(), data.fingerprint))
    if (picked := pickedrows.subset(now.subset, now.model)) is not None:
        kept = {picked.key: picked, **kept}
    for key, each in kept.items():
        if len(each) >= LEAST and each.title not in taken:
            found[f"{_SUBSET}{key}"] = of_subset(each, data)
            taken.add(each.title)
    for key in now.concepts:
        if key.startswith(cached.UPLOAD):
            try:
                mine = own(key, now.model)
            except FluoroscopeError as error:
                st.error(state.plain(str(error)))
                continue
            if mine.name not in taken:
                found[key] = mine
                taken.add(mine.name)
    return found


def _own(now: state.Selection, data: Dataset, axis: AxisKind) -> None:
    """Examples of a person's own."""
    label, kinds = _UPLOADS[axis]
    with st.popover("Your own concept", type="tertiary", icon=":material/upload:"):
        name = st.text_input("Name", placeholder="what the examples have in common", max_chars=60)
        files = st.file_uploader(
            label,
            type=kinds,
            accept_multiple_files=axis == "pixels",
            key=f"concept:{axis}",
            help=f"At least {LEAST} examples, better 30. They stay on the machine that runs "
            "Fluoroscope.",
        )
        given = files if isinstance(files, list) else [files] if files else []
        st.caption("Examples that are picked and named on the Projection page are offered too.")
        if not state.pressed("Ask about it", "own-concept", type="primary", disabled=not given):
            return
        try:
            pairs = [(each.name, each.getvalue()) for each in given]
            title = " ".join(name.split()) or re.sub(r"\.\w+$", "", pairs[0][0])
            if len(pairs) > 1:
                file, content = packed(title, pairs)
            else:
                suffix = pairs[0][0].rpartition(".")[2]
                file, content = f"{title}.{suffix}", pairs[0][1]
            key = cached.keep_upload(file, content)
            found = own(key, now.model)
        except FluoroscopeError as error:
            st.error(state.plain(str(error)))
            return
        if len(found) < LEAST:
            st.error(
                f"{len(found)} example{'s' * (len(found) != 1)}, expected at least {LEAST}: a "
                "direction that is learned from so few means nothing."
            )
            return
        known = now.concepts or tuple(_slug(each.name) for each in at_hand(now, data))
        state.change(concepts=tuple(dict.fromkeys((key, *known))))
        st.rerun()


def _slug(name: str) -> str:
    return re.sub(r"[^\w]+", "-", name.lower()).strip("-")


def _rows(found: ConceptScores) -> list[dict[str, object]]:
    return [
        {
            "Concept": words(name.encode(), "tokens", 60),
            "Layer": layer,
            "TCAV": f"{found.scores[row, at].mean():.0%}" if found.told[row, at] else "≈ random",
            "Sensitivity": round(float(found.sensitivity[row, at].mean()), 3),
            "Random sets": "{:.2f} to {:.2f}".format(*found.band(row, at)),
            "p, corrected": f"{found.p[row, at]:.2g}",
            "Told from random examples": f"{found.accuracy[row, at]:.0%}",
            "Examples": found.sizes[row],
        }
        for row, name in enumerate(found.concepts)
        for at, layer in enumerate(found.layers)
    ]
