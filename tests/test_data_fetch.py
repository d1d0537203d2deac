"""Fetching from a server on this machine: once, checked, with progress, and what can go wrong."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.data.fetch import cache_folder, fetch
from core.errors import BadInput, Cancelled
from core.progress import Meter, Progress

CONTENT = os.urandom(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Gives ``content`` at /data.bin, with a length that may be a lie; counts what it gave."""

    content = CONTENT
    length = len(CONTENT)
    given = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.given += 1
        if self.path != "/data.bin":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *given: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetched_once_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[Progress] = []
    place = fetch(server.url, DIGEST, folder=tmp_path, meter=Meter(seen.append))
    assert place == tmp_path / "data.bin"
    assert place.read_bytes() == CONTENT
    assert seen[-1].done == seen[-1].total == len(CONTENT)
    assert len(seen) > 3
    assert seen[-1].note == "fetching data.bin"
    assert fetch(server.url, DIGEST, folder=tmp_path) == place
    assert server.given == 1


def test_damaged_copy_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "kept.bin").write_bytes(CONTENT[:-1])
    place = fetch(server.url, DIGEST, folder=tmp_path, name="kept.bin")
    assert place.read_bytes() == CONTENT
    assert server.given == 1


def test_other_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(BadInput, match=f"not the expected file: its SHA-256 is not {DIGEST}"):
        fetch(server.url, DIGEST, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_broken_off_and_refused(server: Server, tmp_path: Path) -> None:
    server.length += 10
    with pytest.raises(BadInput, match=r"127.0.0.1 broke off in the middle of 'data.bin'"):
        fetch(server.url, DIGEST, folder=tmp_path)
    with pytest.raises(BadInput, match=r"127.0.0.1 does not give 'nothing': it answers 404"):
        fetch(server.url.replace("data.bin", "nothing"), DIGEST, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_said_with_what_to_do(server: Server, tmp_path: Path) -> None:
    url = server.url
    server.server_close()
    with pytest.raises(BadInput) as caught:
        fetch(url, DIGEST, folder=tmp_path)
    assert "'data.bin' is not on this machine, and 127.0.0.1 cannot be reached." in str(
        caught.value
    )
    assert f"Fetch {url} in another way and give its path with --data." in str(caught.value)


def test_cancelling_leaves_nothing(server: Server, tmp_path: Path) -> None:
    looks = iter([False, True])
    with pytest.raises(Cancelled):
        fetch(server.url, DIGEST, folder=tmp_path, meter=Meter(cancelled=lambda: next(looks)))
    assert list(tmp_path.iterdir()) == []


def test_a_path_on_disk_is_taken_as_it_is(server: Server, tmp_path: Path) -> None:
    own = tmp_path / "own.bin"
    own.write_bytes(b"mine")
    assert fetch(server.url, DIGEST, path=own) == own
    assert fetch(server.url, DIGEST, path=tmp_path) == tmp_path
    with pytest.raises(BadInput, match=r"There is no file or folder '.*nowhere'"):
        fetch(server.url, DIGEST, path=tmp_path / "nowhere")
    assert server.given == 0


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"'data.bin' cannot be kept in '.*file'"):
        fetch(server.url, DIGEST, folder=tmp_path / "file")


def test_the_cache_is_the_user_s() -> None:
    assert cache_folder().name == "data"
    assert "fluoroscope" in str(cache_folder())
