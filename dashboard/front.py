"""What the browser is given first: Streamlit's page, with where its server is and how wide the
window is told beforehand.

Streamlit's client asks for its server below the address of the page, ``/layers/_stcore/health``,
before it asks at the root, and browsers report each of these as an error; and how wide a page is,
it tells only after it was drawn once. A script in what the browser is sent first answers both.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from streamlit import file_util

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WINDOW = "fluoroscope_window"  # a cookie: pixels across the window
_VIEWS = Path(__file__).parent / "views"
# What a stranger's network answers is text on pages: were it ever read as markup, the browser would
# ask no other server for a picture, and so tell it nothing.
_POLICY = (
    "img-src 'self' data: blob:; media-src 'self' data: blob:; frame-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)
_SCRIPT = f"""<script>
      window.__streamlit = {{ BACKEND_BASE_URL: new URL('.', location.href).href }}
      document.cookie = `{WINDOW}=${{innerWidth}}; path=/; samesite=strict`
    </script>
    """


def page() -> str:
    """Streamlit's page with the script before all others. Below which address it lies does not
    matter, as its own scripts are asked for beside it, too.
    """
    whole = (Path(file_util.get_static_dir()) / "index.html").read_text(encoding="utf-8")
    before, script, after = whole.partition("<script")
    return f"{before}{_SCRIPT}{script}{after}" if script else whole


def routes(below: str = "") -> list[Route]:
    """The first page and every other one by its address, ``below`` a path such as ``/tools``."""
    text = page()
    root = f"/{below.strip('/')}".rstrip("/")

    async def index(_: Request) -> Response:
        return HTMLResponse(text, headers={"Cache-Control": "no-cache"})

    names = sorted(each.stem for each in _VIEWS.glob("[!_]*.py"))
    return [Route(f"{root}/{name}", index) for name in ("", *names)]


class Policy:
    """Tells the browser, with whatever it is given, where pictures may come from: an address that
    is no page's brings Streamlit's page, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = _POLICY
            await send(message)

        await self._app(scope, receive, told)
