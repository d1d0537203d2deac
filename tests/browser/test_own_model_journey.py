"""A person brings a network of their own as one file, and pictures, and looks into it."""

from __future__ import annotations

import json
import re
import shutil
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.browser.moving import SOON, addressed, follow, quiet

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

CLASSES = ("red", "green", "![blue](http://elsewhere.invalid/blue.png)")


def exported(path: Path) -> Path:
    """A small network, saved with plain PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        program = torch.export.export(model.eval(), (torch.rand(1, 3, 16, 16),))
        torch.export.save(program, path)
    return path


def saved(folder: Path) -> Path:
    """A zip of a folder of transformers, as it saves one."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=4,
        id2label=dict(enumerate(CLASSES)),
    )
    home = folder / "tiny-vit"
    transformers.ViTForImageClassification(config).save_pretrained(home)
    (home / "preprocessor_config.json").write_text('{"size": {"height": 16, "width": 16}}')
    path = folder / "tiny-vit.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(home.iterdir()):
            archive.write(each, f"tiny-vit/{each.name}")
    return path


def pictures() -> bytes:
    """A zip of class folders: eight squares of each of three colours."""
    random, raw = np.random.default_rng(0), BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for channel, name in enumerate(("red", "green", "blue")):
            for number in range(8):
                pixels = random.integers(0, 90, (20, 24, 3), dtype=np.uint8)
                pixels[4:15, 5:17, channel] += 150
                picture = BytesIO()
                Image.fromarray(pixels).save(picture, "PNG")
                archive.writestr(f"squares/{name}/{number}.png", picture.getvalue())
    return raw.getvalue()


def looked_into(page: Page, name: str) -> None:
    """Bring pictures, and look at what is said, why, by which layers, and what lies together."""
    quiet(page)
    page.get_by_role("button", name="Bring data").click()
    page.locator(".st-key-data-pixels input[type=file]").set_input_files(
        {"name": f"{name}.zip", "mimeType": "application/zip", "buffer": pictures()}
    )
    page.get_by_text(re.compile("24 examples · ")).wait_for(timeout=SOON)
    page.keyboard.press("Escape")
    main = page.get_by_test_id("stMain")
    follow(page, "Attribution")
    expect(main.get_by_text(re.compile("^It says "))).to_be_visible(timeout=SOON)
    expect(main.get_by_text("Integrated gradients").first).to_be_visible(timeout=SOON)
    follow(page, "Layers")
    expect(page.get_by_text(re.compile("units, each a map"))).to_be_visible(timeout=SOON)
    follow(page, "Projection")
    expect(page.get_by_text("Trustworthiness")).to_be_visible(timeout=SOON)
    quiet(page)


def test_one_file_of_plain_pytorch(page: Page, served: str, tmp_path: Path) -> None:
    outside: list[str] = []
    page.on("request", lambda asked: outside.append(asked.url) if ".invalid" in asked.url else None)
    page.goto(f"{served}/models?model=digits_cnn")
    upload = page.locator(".st-key-bring input[type=file]")
    upload.set_input_files(exported(tmp_path / "squares.pt2"))
    addressed(page, model="own:squares")
    quiet(page)
    page.get_by_label(re.compile("^Classes, one per line")).fill("\n".join(CLASSES))
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text(re.compile("red, green, ")).wait_for(timeout=SOON)
    quiet(page)
    expect(page.get_by_text(re.compile("Nothing stands in the way|It can be used"))).to_be_visible()
    looked_into(page, "squares")
    assert not outside, "names of classes are text"


def slow(folder: Path) -> Path:
    """A zip of a folder whose tokenizer takes as long as it is let, for a text of some length."""
    pytest.importorskip("transformers")
    from tests.confined_verbs import tokenizer_json
    from tests.test_huggingface import bert, tokenizer

    home = folder / "slow"
    bert().save_pretrained(home)
    tokenizer(home)
    split = json.loads(tokenizer_json("a*a*$"))["pre_tokenizer"]
    about = json.loads((home / "tokenizer.json").read_bytes()) | {"pre_tokenizer": split}
    (home / "tokenizer.json").write_text(json.dumps(about))
    return Path(shutil.make_archive(str(home), "zip", folder, "slow"))


def test_opening_goes_on_after_a_reload_and_can_be_cancelled(
    page: Page, served: str, tmp_path: Path
) -> None:
    page.goto(f"{served}/models?model=digits_cnn")
    page.locator(".st-key-bring input[type=file]").set_input_files(slow(tmp_path))
    page.get_by_text(re.compile("^Opening slow")).wait_for(timeout=SOON)
    page.goto(page.url.replace("/models", "/"))
    follow(page, "Your model")
    page.get_by_text(re.compile("^Opening slow")).wait_for(timeout=SOON)
    page.get_by_role("button", name="Cancel", exact=True).first.click()
    page.get_by_text("Opening 'slow.zip' was cancelled").wait_for(timeout=SOON)
    addressed(page, model="digits_cnn", brought=None)


def test_a_zip_of_a_folder_of_transformers(page: Page, served: str, tmp_path: Path) -> None:
    outside: list[str] = []
    page.on("request", lambda asked: outside.append(asked.url) if ".invalid" in asked.url else None)
    page.goto(f"{served}/models?model=digits_cnn")
    page.locator(".st-key-bring input[type=file]").set_input_files(saved(tmp_path))
    addressed(page, model="own:tiny-vit")
    page.get_by_text(re.compile("red, green, ")).wait_for(timeout=SOON)
    looked_into(page, "vit")
    assert not outside, "names of classes are text"
