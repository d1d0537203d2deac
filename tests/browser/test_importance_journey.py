"""A person goes from the columns that matter to one of them, and calls off what takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.moving import addressed, follow, quiet

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SOON = 60_000


def test_from_what_matters_to_one_column_and_a_long_call_called_off(
    page: Page, served: str
) -> None:
    page.goto(f"{served}/?model=two_features&methods=saliency&set=shapley.n_samples=1000")
    expect(page.get_by_role("link", name="Importance")).to_be_visible(timeout=SOON)
    follow(page, "Importance")
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("Mean size of contribution")).to_be_visible(timeout=SOON)
    main.get_by_role("radio", name="Permutation").click()
    addressed(page, weigh="permutation")
    expect(main.get_by_text("Fall when shuffled")).to_be_visible(timeout=SOON)
    main.get_by_role("radio", name="One feature").click()
    expect(main.get_by_text("over second feature")).to_be_visible(timeout=SOON)
    expect(main.get_by_text("Friedman's H")).to_be_visible(timeout=SOON)
    main.get_by_role("radio", name="Beyond the sum").click()
    expect(main.get_by_text("of the two alone")).to_be_visible(timeout=SOON)
    quiet(page)
    main.get_by_role("radio", name="Over the data").click()
    addressed(page, weighed=None)
    page.get_by_test_id("stSidebar").get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="Handwritten digits (CNN)", exact=True).click()
    addressed(page, model="digits_cnn")
    main.get_by_role("radio", name="Shapley").click()
    main.get_by_role("button", name="Compute").click(timeout=SOON)
    main.get_by_role("button", name="Cancel").click(timeout=SOON)
    expect(main.get_by_text("cancelled")).to_be_visible(timeout=SOON)
