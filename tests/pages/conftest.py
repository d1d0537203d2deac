"""An engine and a workspace for each file of page tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.engine.job import jobs
from core.workspace import Workspace
from dashboard import cached


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The workspace; what still trains in it is ended with the last test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path_factory.mktemp("pages")))
        cached.place.clear()
        cached.engine.clear()
        yield cached.place()
        for job in jobs(cached.place()):
            job.cancel()
            job.wait()
        cached.engine().close()
        cached.engine.clear()
        cached.place.clear()
