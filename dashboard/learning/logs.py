"""Event files of other tools: any log directory by path, or its files as an upload."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import FluoroscopeError
from core.paths import located
from core.results.history import History
from core.training.events import find_runs
from dashboard import cached, downloads, ruler, state
from dashboard.figures.curves import Curve, metric_curves, metrics_of
from dashboard.figures.layerstats import distribution
from dashboard.learning import axes
from dashboard.learning.eventupload import keep
from dashboard.learning.watch import show
from dashboard.theme import is_dark

_MOST_RUNS = 40
_MOST_FIGURES = 12


def draw(chosen: state.Selection) -> None:
    """The form, then the runs below the folder in hand."""
    path, file = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
    path.text_input(
        "Log directory on this machine",
        placeholder="/path/to/lightning_logs",
        help="TensorBoard event files, as Lightning, Keras, Hugging Face and SummaryWriter write "
        "them; also several runs in folders below it.",
        **state.bind("logs", chosen.logs, str.strip),
    )
    upload = file.file_uploader("Or event files, or a zip of a log directory", key="events")
    if upload is not None and state.is_new(upload.file_id):
        try:
            folder = keep(cached.place(), upload.name, upload.getvalue())
        except FluoroscopeError as error:
            st.error(state.plain(str(error)))
            return
        state.change(logs=str(folder), runs=(), metric="")
        state.taken(upload.file_id)
        st.rerun()
    if not chosen.logs:
        st.info("Name a log directory, or upload one.")
        return
    try:
        root = located(chosen.logs)
        found = find_runs(root)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    if not found:
        st.warning("There are no event files in or below this folder.")
        return
    _runs(chosen, root, found)


def _runs(chosen: state.Selection, root: Path, found: tuple[Path, ...]) -> None:
    names = {_name(root, folder): folder for folder in found}
    picked = [name for name in chosen.runs if name in names] or list(names)[:8]
    if len(picked) > _MOST_RUNS:
        st.info(f"The first {_MOST_RUNS} of {len(picked)} runs are drawn.")
    if len(names) > 1:
        st.multiselect("Runs", list(names), **state.bind("runs", picked, tuple))
    histories = {name: cached.history(names[name]) for name in picked[:_MOST_RUNS]}
    metrics = metrics_of(list(histories.values()))
    kinds = "scalars, histograms, images and texts"
    counts = [sum(len(s.steps) for s in h.scalars.values()) for h in histories.values()]
    sized = f"{len(names)} run{'s' * (len(names) != 1)}"
    st.caption(f"{sized} · {sum(counts):,} numbers in {len(metrics)} series · {kinds}")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox(
            "Metric",
            ["", *metrics],
            format_func=lambda name: name or "All",
            width=240,
            **state.bind("metric", chosen.metric if chosen.metric in metrics else ""),
        )
        axes.draw(chosen)
    dark, look = is_dark(st.context.theme.type), axes.look(chosen)
    curves = [
        Curve(name, history, place) for place, (name, history) in enumerate(histories.items())
    ]
    wanted = [chosen.metric] if chosen.metric in metrics else metrics[:_MOST_FIGURES]
    if len(metrics) > len(wanted) > 1:
        st.caption(f"The first {len(wanted)} of {len(metrics)} series; the others by Metric.")
    figures = {name: metric_curves(curves, name, **look, dark=dark) for name in wanted}
    for name, history in histories.items():
        for tag in list(history.histograms)[:4]:
            title = f"{name}: {tag}" if len(histories) > 1 else tag
            figures[title] = distribution(history.histograms[tag], title, dark=dark)
    if figures:
        with st.container(horizontal=True, horizontal_alignment="right"):
            told = {"folder": root.name, "runs": list(histories)}
            downloads.several(figures, list(histories.values()), "logs", told)
    columns = st.columns(2 if ruler.width() >= 700 and len(figures) > 1 else 1, gap="medium")
    for place, (title, figure) in enumerate(figures.items()):
        with columns[place % len(columns)]:
            show(figure, f"logs:{title}")
    for name, history in histories.items():
        _others(name, history)


def _others(name: str, history: History) -> None:
    """Pictures and texts, and what was wrong with the files."""
    for note in history.notes:
        st.warning(f"{state.plain(name)}: {state.plain(note)}")
    for tag, series in list(history.texts.items())[:8]:
        with st.expander(f"Text {state.plain(tag)}"):
            for step, item in list(zip(series.steps, series.items, strict=True))[-5:]:
                st.caption(f"Step {step}")
                st.text(bytes(item).decode("utf-8", "replace")[:5_000])
    for tag, series in list(history.images.items())[:8]:
        with st.expander(f"Picture {state.plain(tag)}"):
            st.caption(f"{len(series.steps)} pictures, the last of step {int(series.steps[-1])}")
            last = series.items[-1]
            _picture(last if isinstance(last, bytes) else b"")


def _picture(data: bytes) -> None:
    """A PNG or JPEG as it is, for the browser to decode."""
    if data.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")):
        st.image(data)
    else:
        st.caption("Not a PNG or JPEG.")


def _name(root: Path, folder: Path) -> str:
    relative = folder.relative_to(root).as_posix() if folder != root else ""
    return relative.replace(",", "‚") or folder.name
