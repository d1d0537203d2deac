"""One engine for all tests of pages, and for each file of them an empty workspace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.job import jobs
from core.workspace import Workspace
from dashboard import cached


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the workspace of each file is: a worker, which takes seconds to start, knows one."""
    cached.engine.clear()
    yield tmp_path_factory.mktemp("pages")
    cached.engine.clear()


@pytest.fixture(scope="module", autouse=True)
def place(folder: Path) -> Iterator[Workspace]:
    """The workspace; what still trains in it, or is computed, is ended with the last test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUOROSCOPE_WORKSPACE", str(folder))
        cached.place.clear()
        yield cached.place()
        for job in jobs(cached.place()):
            job.cancel()
            job.wait()
        engine = cached.engine()
        if any(worker._pending for worker in (engine.ordinary, engine.sealed)):
            cached.engine.clear()  # nobody shall wait behind what a file has left
        else:
            for worker in (engine.ordinary, engine.sealed):
                worker._recent.clear()
        for each in folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        for known in (cached.own_models, cached.run_models, cached.compressed_models):
            known.clear()
        cached.event_log.clear()
        cached.place.clear()
