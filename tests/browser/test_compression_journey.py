"""A person removes channels, sees which reasons changed and who pays, and takes the smaller model
in hand, in real Chromium.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.moving import addressed, follow

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SOON = 60_000


def test_from_a_smaller_model_to_its_reasons_and_back_as_a_model(page: Page, served: str) -> None:
    page.goto(f"{served}/?model=tabular_mlp&methods=saliency&smaller=channels")
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("It says")).to_be_visible(timeout=SOON)
    follow(page, "Compression")
    expect(main.get_by_text("Reasons alike", exact=True)).to_be_visible(timeout=SOON)
    main.get_by_role("radio", name="Changed reasons").click()
    expect(main.get_by_text("on one scale: rank correlation")).to_be_visible(timeout=SOON)
    expect(main.get_by_text("Original − compressed")).to_be_visible(timeout=SOON)
    main.get_by_role("radio", name="Who pays").click()
    expect(main.get_by_text("Calibration error")).to_be_visible(timeout=SOON)
    addressed(page, shrunk="who", smaller="channels")

    page.get_by_test_id("stSidebar").get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=re.compile("^Channels 0.3")).click()
    expect(main.get_by_text("Beside tabular_mlp, which it was made of.")).to_be_visible(
        timeout=SOON
    )
    follow(page, "Attribution")
    expect(main.get_by_text("It says")).to_be_visible(timeout=SOON)
    page.wait_for_url(re.compile("model=compressed"), timeout=SOON)
