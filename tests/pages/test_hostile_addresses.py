"""Addresses that somebody wrote to do harm: a page all the same, its text as it stands."""

from __future__ import annotations

import re

import pytest

from core.workspace import Workspace
from dashboard.state import plain
from tests.pages.driving import opened, words

# What the page's Markdown makes links of when it is done with the marks: mdast-util-gfm-autolink-
# literal, on the texts between them.
ADDRESS = re.compile(r"(?i)(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)")
LETTERBOX = re.compile(r"(?:(?<=^)|(?<=\W))([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)")
NAMES = ("model", "example", "data", "row", "other", "subset", "brought")
TEXT = (
    "<img src=x onerror=alert(1)><script>alert(2)</script> [a](https://evil.example/x) "
    "![p](//evil.example/p.png) **b** :red[c] $x^2$ www.evil.example me@evil.example"
)
HOSTILE = {
    "text": dict.fromkeys(NAMES, TEXT),
    "paths": {
        "model": "own:../../etc/passwd",
        "example": "row:../../etc/passwd",
        "data": "../../../../etc/passwd",
        "row": "row:999999999999999999999999",
        "other": "run:../../etc:1",
        "subset": "../../etc/passwd",
        "brought": "/etc/passwd",
    },
    "letters": dict.fromkeys(NAMES, "a\0b\x1b[31m\u202e" + "x" * 6_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_address_is_a_page(name: str, place: Workspace) -> None:
    app = opened("views/overview.py", **HOSTILE[name])
    said = words(app)
    for found in (said, *(str(each.value) for each in app.text)):
        assert len(found) < 6_000
        assert "root:" not in found
        assert not re.search(r"(?<!\\)\[[^]]*(?<!\\)\]\(", found)
        shown = re.sub(r"\\(.)", r"\1", found)
        assert not ADDRESS.search(shown)
        assert not LETTERBOX.search(shown)
        assert "<script" not in re.sub(r"\\<", "", found)
    assert not [each for each in place.root.rglob("*") if "passwd" in each.name]


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/x",
        "HTTP://evil.example",
        "xhttps://evil.example",
        "(www.evil.example)",
        "WWW.evil.example",
        "https://www.evil.example me@www.evil.example",
        "first.last+more@evil.example",
        "http://http://evil.example",
    ],
)
def test_a_name_is_never_a_link(text: str) -> None:
    assert ADDRESS.search(text) or LETTERBOX.search(text)
    shown = re.sub(r"\\(.)", r"\1", plain(text))
    assert not ADDRESS.search(shown)
    assert not LETTERBOX.search(shown)
    assert shown.replace("\u2060", "") == text
