"""Pages in Streamlit's own test runner: opened, run until they are still, and read."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import FluoroscopeError

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")
SECONDS = 90.0


def opened(page: str = "", /, **query: str | list[str]) -> AppTest:
    """The dashboard at an address, on the first page or another one, once it is still."""
    app = AppTest.from_file(APP, default_timeout=SECONDS)
    for name, value in query.items():
        app.query_params[name] = value
    if page:
        app.run()
        app.switch_page(page)
    settle(app)
    assert not app.exception
    return app


def handles(app: AppTest) -> list[Any]:
    """The calls of the session."""
    return list(app.session_state["handles"].values()) if "handles" in app.session_state else []


def settle(app: AppTest) -> AppTest:
    """Run until nothing is under way: wait for each call of the session, then run again, for what
    is there may ask for more.
    """
    deadline = time.monotonic() + SECONDS
    app.run()
    while time.monotonic() < deadline:
        known = handles(app)
        under_way = [x for x in known if x.state in ("waiting", "running")]
        for handle in under_way:
            with suppress(FluoroscopeError):  # the page shall say it
                handle.result(timeout=SECONDS)
        app.run()
        if not under_way and len(handles(app)) == len(known):
            return app
    pytest.fail("the page did not settle")


def words(app: AppTest) -> str:
    """Everything that is said in sentences."""
    parts = [*app.markdown, *app.warning, *app.error, *app.info, *app.caption, *app.toast]
    return "\n".join(str(part.value) for part in parts)


def param(app: AppTest, name: str) -> list[str]:
    """The values of a name in the address."""
    found = app.query_params.get(name, [])
    return list(found) if isinstance(found, list) else [found]
