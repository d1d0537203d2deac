"""``fluoroscope serve`` as a process: where it keeps things, and that ending it ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import dashboard
from tests.conftest import Dashboard, free_port


def test_a_polite_end_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that was started is the server: SIGTERM to it alone frees the port and
    leaves no process; its workspace lies where the person stood, not in the package.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUOROSCOPE_WORKSPACE")
    (tmp_path / "here").mkdir()
    served = Dashboard(Path("here"))
    try:
        served.wait()
        os.kill(served.process.pid, signal.SIGTERM)
        served.process.wait(timeout=30)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", served.port))
        with pytest.raises(ProcessLookupError):
            os.killpg(served.process.pid, 0)
    finally:
        served.close()
    assert "Traceback" not in served.log.read_text()
    assert not (Path(dashboard.__file__).parent / "here").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - that is the question
def test_only_an_open_door_is_warned_of(host: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from dashboard import cli\n"
        "os.execve = lambda *_: sys.exit(0)\n"
        f"sys.argv = ['fluoroscope', 'serve', '--host', '{host}', '--port', '0000{free_port()}']\n"
        "cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert host in done.stdout
    assert ("no password" in done.stderr) is (host != "127.0.0.1")


def test_the_browser_is_told_where_the_server_is() -> None:
    """Every page by its address begins with Streamlit's own page and our script before all others;
    what is not a page is left to Streamlit.
    """
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from dashboard import front

    client = TestClient(Starlette(routes=front.routes()))
    stems = {each.stem for each in Path(dashboard.__file__).parent.glob("views/*.py")}
    for name in ("", *stems - {"__init__"}):
        text = client.get(f"/{name}").text
        first = text.index("<script")
        assert first < text.index("BACKEND_BASE_URL") < text.index("</script>")
        assert 'src="./static/js/' in text[first:]
    assert client.get("/elsewhere").status_code == 404
    assert client.get("/layers/_stcore/health").status_code == 404
    below = TestClient(Starlette(routes=front.routes("tools/")))
    assert [below.get(each).status_code for each in ("/tools/", "/tools/layers")] == [200, 200]
    assert [below.get(each).status_code for each in ("/", "/layers")] == [404, 404]


def test_no_address_brings_a_page_without_its_policy() -> None:
    """Of the dashboard as it is served: also what is no page's, which Streamlit answers."""
    from starlette.testclient import TestClient

    from dashboard.served import app

    client = TestClient(app)
    for address in ("/", "/layers", "/elsewhere", "/index.html"):
        answer = client.get(address)
        assert answer.text.lstrip().startswith("<!"), address
        assert "img-src 'self' data: blob:;" in answer.headers["Content-Security-Policy"], address


@pytest.mark.parametrize(
    ("told", "width"),
    [
        ("1440", 1040),
        ("900", 520),
        ("700", 640),
        ("20", 40),
        ("", 1040),
        ("-5", 1040),
        ("9" * 9, 1040),
    ],
)
def test_a_page_is_as_wide_as_its_window_leaves_it(
    told: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamlit as st

    from dashboard import front, ruler

    told_as = property(lambda _: {front.WINDOW: told} if told else {})
    monkeypatch.setattr(type(st.context), "cookies", told_as)
    assert ruler.width() == width
