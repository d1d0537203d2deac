"""A person brings data of their own: a zip of class folders, judged by the model in hand."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.data.dataset import dataset
from core.models.catalogue import card
from tests.browser.moving import SOON, addressed, follow, quiet

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser


def digits() -> bytes:
    """Four of each of three digits, a text among them and a picture that is cut off."""
    data = dataset(card("digits_cnn"))
    assert data.labels is not None
    raw = BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        for label in (1, 4, 7):
            for row in np.flatnonzero(data.labels == label)[:4].tolist():
                file.writestr(f"mine/{label}/{row}.png", data[row].data)
        file.writestr("mine/4/notes.txt", "four")
        file.writestr("mine/4/half.png", data[0].data[:40])
    return raw.getvalue()


def test_a_zip_of_class_folders_is_judged(page: Page, served: str) -> None:
    page.goto(f"{served}/?model=digits_cnn")
    follow(page, "Evaluation")
    quiet(page)
    page.get_by_role("button", name="Bring data").click()
    upload = page.locator(".st-key-data-pixels input[type=file]")
    upload.set_input_files({"name": "mine.zip", "mimeType": "application/zip", "buffer": digits()})
    said = page.get_by_text(re.compile("Over 12 labelled examples of mine.zip"))
    expect(said).to_be_visible(timeout=SOON)
    quiet(page)
    page.get_by_text("12 examples · 3 classes · 2 left out").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Details").click()
    left_out = page.get_by_role("dialog").get_by_text("2 left out", exact=True)
    expect(left_out).to_be_visible(timeout=SOON)
    page.keyboard.press("Escape")
    own = re.search(r"data=([0-9a-f]{16})", page.url)
    assert own is not None
    follow(page, "Attribution")
    addressed(page, data=own[1], example=f"row:digits_cnn:0@{own[1]}")
    answer = page.get_by_test_id("stMain").get_by_text(re.compile(r"^It says 1"))
    expect(answer).to_be_visible(timeout=SOON)
