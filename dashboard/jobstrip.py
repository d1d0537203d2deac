"""The trainings under way, in the sidebar of every page: how far they are, one click away."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.engine.job import Job
from dashboard import cached, state, waiting
from dashboard.runs import training_jobs
from dashboard.ticking import ticking

_MOST = 4


def draw() -> None:
    """The strip, where there is anything to show; to be drawn inside the sidebar."""
    if any(True for _ in training_jobs(cached.place())):
        _strip()


@ticking(2.0)
def _strip() -> None:
    jobs = list(training_jobs(cached.place()))
    if not jobs:
        st.rerun()  # the last one is over: once more, without the clock
    st.divider()
    st.markdown("Training now")
    running = [job for job in jobs if job.state == "running"]
    for job in running[:_MOST]:
        _line(job)
    others = len(jobs) - min(len(running), _MOST)
    if others:
        st.caption(f"{others} more {'waits' if others == 1 else 'wait'} in line")


def _line(job: Job) -> None:
    folder = Path(job.parameters["run"])
    root = cached.place().root / "runs"
    name = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    if st.button(
        state.plain(folder.name), key=f"job:{job.id}", type="tertiary", help="Watch it learn."
    ):
        state.change(tab="watch", runs=(name,))
        st.switch_page("views/training.py")
    left = job.progress.remaining
    st.progress(job.progress.fraction, "" if left is None else f"{waiting.duration(left)} left")
