"""What the browser is given first: Streamlit's page, with where its server is and how wide the
window is told beforehand.

Streamlit's client asks for its server below the address of the page, ``/layers/_stcore/health``,
before it asks at the root, and browsers report each of these as an error; and how wide a page is,
it tells only after it was drawn once. A script in what the browser is sent first answers both.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from streamlit import file_util

if TYPE_CHECKING:
    from starlette.requests import Request

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


def routes() -> list[Route]:
    """The first page and every other one by its address."""
    text = page()
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}

    async def index(_: Request) -> Response:
        return HTMLResponse(text, headers=headers)

    names = sorted(each.stem for each in _VIEWS.glob("[!_]*.py"))
    return [Route(f"/{name}", index) for name in ("", *names)]
