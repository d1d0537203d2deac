"""A person reads what a model reads in real Chromium: edits a text, takes words away, brings a
hostile one, and takes the figure along.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import ARTIFACTS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SOON = 60_000
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> plays \u202esdrawkcab سيئ جدا "
    "👨‍👩‍👧 café {{7*7}} $x$"
)


def words(page: Page, key: str = "texts") -> Locator:
    return page.locator(f".st-key-{key} .unit")


def open_text(page: Page, served: str, query: str) -> None:
    page.goto(f"{served}/?{query}")
    expect(words(page).first).to_be_visible(timeout=SOON)
    still(page)


def still(page: Page) -> None:
    """Wait until the page is not being drawn."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SOON)
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=SOON)


def write(page: Page, text: str) -> None:
    """Replace the text in hand, as a person does."""
    box = page.get_by_role("textbox", name="Text", exact=True)
    box.fill(text)
    box.press("Control+Enter")


def says(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_test_id("stMain").get_by_text(text).first).to_be_visible(timeout=SOON)


def asked(page: Page, name: str) -> list[str]:
    return parse_qs(urlsplit(page.url).query).get(name, [])


def test_edit_compare_drop_and_take_back(page: Page, served: str, tmp_path: Path) -> None:
    open_text(page, served, "model=text_rnn&methods=integrated_gradients&methods=saliency")
    first = page.get_by_role("textbox", name="Text", exact=True).input_value()
    drawn = words(page).all_inner_texts()
    assert first.split()[0] in [each.strip() for each in drawn]

    write(page, first + " over the internet")
    says(page, "Before")
    expect(words(page, "texts").filter(has_text="internet").first).to_be_visible(timeout=SOON)
    expect(words(page, "texts-before").first).to_be_visible(timeout=SOON)
    page.wait_for_url(re.compile("original="), timeout=SOON)
    assert asked(page, "original")
    still(page)

    words(page).filter(has_text="internet").first.click()
    page.wait_for_url(re.compile("picked="), timeout=SOON)
    still(page)
    page.get_by_role("button", name="Drop", exact=True).click()
    box = page.get_by_role("textbox", name="Text", exact=True)
    expect(box).to_have_value(re.compile(r"over the\s*$"), timeout=SOON)
    still(page)
    page.get_by_role("button", name="Back to the original").click()
    expect(box).to_have_value(first, timeout=SOON)
    expect(page.get_by_text("Before", exact=True)).to_have_count(0, timeout=SOON)
    still(page)

    page.go_back()  # the browser's own undo
    expect(box).to_have_value(re.compile(r"over the\s*$"), timeout=SOON)
    page.go_forward()
    expect(box).to_have_value(first, timeout=SOON)
    still(page)
    page.get_by_role("button", name="Fewest words that change the answer").click()
    says(page, re.compile(r"^Without .* it says|^No set of words"))


def test_levels_cost_no_new_pass_and_figures_can_be_taken_along(
    page: Page, served: str, tmp_path: Path
) -> None:
    open_text(page, served, "model=text_rnn&methods=integrated_gradients")
    count = words(page).count()
    note = page.locator(".st-key-texts .note").first.inner_text()  # how long it took
    page.get_by_role("button", name=re.compile("^View")).click()
    page.get_by_role("radio", name="Sentences").click()
    expect(words(page)).not_to_have_count(count, timeout=SOON)
    assert page.locator(".st-key-texts .note").first.inner_text() == note
    page.get_by_role("radio", name="Tokens").click()
    page.wait_for_url(re.compile("level=token"), timeout=SOON)
    still(page)

    page.keyboard.press("Escape")
    page.get_by_role("button", name="Export", exact=True).last.click()  # that of the bars
    page.get_by_role("combobox", name="Format").click()
    page.get_by_role("option", name=re.compile("^JSON ")).click()
    with page.expect_download(timeout=SOON) as waiting:
        page.get_by_role("button", name="Download JSON", exact=True).click()
    path = tmp_path / "numbers.json"
    waiting.value.save_as(path)
    document = json.loads(path.read_text("utf-8"))
    assert document["attributions"][0]["method"] == "integrated_gradients"
    assert document["prediction"][0]["class"] == "games"


def test_a_hostile_text_is_only_text(page: Page, served: str) -> None:
    dialogs: list[str] = []

    def refuse(dialog: object) -> None:
        dialogs.append(str(dialog))
        dialog.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", refuse)
    open_text(page, served, "model=sentiment&methods=saliency")
    write(page, HOSTILE)
    expect(words(page).filter(has_text="script").first).to_be_visible(timeout=SOON)
    still(page)
    shown = page.locator(".st-key-texts .text").first.inner_text()
    assert shown.replace("\n", "") == HOSTILE
    assert not page.locator(".st-key-texts img, .st-key-texts script").count()
    write(page, " \n ")
    says(page, re.compile("^There is nothing to read"))
    assert not dialogs


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1440),
        ("dark", 900),
        pytest.param("light", 900, marks=pytest.mark.slow),
        pytest.param("dark", 1440, marks=pytest.mark.slow),
    ],
)
def test_the_words_can_be_read_in_every_appearance(
    page: Page, served: str, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_text(page, served, "model=text_rnn&methods=integrated_gradients&methods=saliency")
    for word in words(page).all():
        box = word.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        ink, paper = word.evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        assert contrast(ink, paper) >= 4.5
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"text-{width}-{scheme}.png", full_page=True)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours as WCAG 2 defines it, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [float(each) / 255 for each in re.findall(r"[\d.]+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
