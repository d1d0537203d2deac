"""A person follows two confused classes to the layer in which they part, takes a unit in hand
there, switches it off and on again, in real Chromium.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.moving import addressed, quiet

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SOON = 60_000


def layers(page: Page, address: str) -> Locator:
    """Open the Layers page by its address; its main part."""
    page.goto(address)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("The band is healthy")).to_be_visible(timeout=SOON)
    quiet(page)
    return main


def asked(page: Page, name: str) -> list[str]:
    return parse_qs(urlsplit(page.url).query).get(name, [])


def test_from_confused_classes_to_a_unit_switched_off_and_on_again(page: Page, served: str) -> None:
    main = layers(page, f"{served}/layers?model=digits_cnn&methods=saliency")
    main.get_by_role("radio", name="Where classes part").click()
    expect(main.get_by_role("combobox", name="Classes")).to_be_visible(timeout=SOON)
    quiet(page)
    main.get_by_role("combobox", name="Classes").click()
    pair = page.get_by_role("option").nth(1)
    classes = re.findall(r"\d", pair.inner_text())[:2]
    pair.click()
    title = re.compile(f"{classes[0]} and {classes[1]} come apart at")
    curve = main.locator(".st-key-probes .main-svg").first
    expect(main.locator(".st-key-probes").get_by_text(title)).to_be_visible(timeout=SOON)
    addressed(page, pair="-".join(classes))
    curve.scroll_into_view_if_needed()
    point = main.locator(".st-key-probes .scatterlayer .point").nth(4)
    point.click(force=True)
    page.wait_for_url(re.compile("module="), timeout=SOON)
    (layer,) = asked(page, "module")

    quiet(page)
    main.get_by_role("radio", name="This example").click()
    quiet(page)
    tile = main.locator(".st-key-units .scatterlayer .point").nth(5)
    tile.scroll_into_view_if_needed()
    tile.click(force=True)
    page.wait_for_url(re.compile("unit=5"), timeout=SOON)
    expect(main.get_by_role("spinbutton", name="Unit")).to_have_value("5", timeout=SOON)
    expect(main.get_by_text("What drives unit 5 here")).to_be_visible(timeout=SOON)
    quiet(page)

    main.get_by_role("button", name="Switch this unit off").click()
    expect(main.get_by_text(f"{layer} unit 5")).to_be_visible(timeout=SOON)
    expect(main.get_by_text("Right without")).to_be_visible(timeout=SOON)
    answer = main.get_by_text("with everything,").inner_text()
    quiet(page)
    main.get_by_role("button", name="Switch this layer off").click()
    expect(main.get_by_text(f"all of {layer}")).to_be_visible(timeout=SOON)
    expect(main.get_by_text("with everything,")).not_to_have_text(answer, timeout=SOON)
    quiet(page)
    main.get_by_role("button", name="Switch this layer on again").click()
    expect(main.get_by_text("with everything,")).to_have_text(answer, timeout=SOON)
    quiet(page)
    main.get_by_role("button", name="Undo all").click()
    expect(main.get_by_text("Nothing is switched off")).to_be_visible(timeout=SOON)
    addressed(page, cut=None)


@pytest.mark.parametrize(
    ("width", "scheme", "model"),
    [
        (1440, "light", "digits_cnn"),
        (900, "dark", "digits_cnn"),
        (1440, "dark", "sentiment"),
        (900, "light", "sentiment"),
    ],
)
def test_the_page_is_full_in_every_appearance(
    page: Page, served: str, width: int, scheme: str, model: str
) -> None:
    from tests.conftest import ARTIFACTS

    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    main = layers(page, f"{served}/layers?model={model}")
    expect(main.get_by_text("What drives unit")).to_be_visible(timeout=SOON)
    quiet(page)
    charts = page.get_by_test_id("stPlotlyChart")
    expect(charts.nth(4)).to_be_visible(timeout=SOON)
    for chart in charts.all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] >= 150
        assert box["x"] + box["width"] <= width + 1
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"layers-{model}-{width}-{scheme}.png")
