"""The pages in Streamlit's own test runner, on a real engine and the digits model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.data.gallery import gallery_item
from dashboard import cached, ruler, state
from sample_models import MODELS, TABLE_MODELS, TEXT_MODELS
from tests import images
from tests.pages.driving import handles, opened, param, settle, words


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def test_first_screen_is_full() -> None:
    app = opened()
    assert app.title[0].value == "Attribution"
    assert "It says **3**" in words(app)
    assert [chart for chart in charts(app) if len(chart["data"]) > 4]
    assert len(app.dataframe[0].value) == 3
    assert param(app, "model") == ["digits_cnn"]


def test_an_address_opens_the_same_view() -> None:
    app = opened(
        model="digits_cnn",
        example="digit-7.png",
        methods="saliency,deeplift",
        target="top vs second",
        set=["deeplift.baseline=black"],
    )
    assert "It says **7**" in words(app)
    table = app.dataframe[0].value
    assert list(table["Method"]) == ["Saliency", "DeepLIFT"]
    assert all("−" in target for target in table["Target"])
    assert param(app, "set") == ["deeplift.baseline=black"]


@pytest.mark.parametrize(
    ("query", "notice"),
    [
        ({"model": "resnet9000"}, "no model"),
        ({"example": "digit-77.png"}, "no example"),
        ({"example": "upload:../../etc/passwd"}, "upload"),
        ({"methods": "saliency,no_such"}, "no method"),
        ({"model": "fashion_vit", "methods": "saliency,guided_backprop"}, "ReLU"),
        ({"methods": "saliency", "target": "zebra"}, "zebra"),
        ({"target": "3 vs 3"}, "contrasts a class with itself"),
        ({"target": "top" + "9" * 5000}, "5,003 characters"),
        ({"target": "9" * 5000}, "5,000 characters"),
        ({"target": "top" + "9" * 900}, "asks for"),
        ({"model": "fashion_vit", "methods": "guided_backprop"}, "It says"),
        (
            {"set": ["integrated_gradients.baseline=image"], "baseline": "upload:" + "0" * 64},
            "upload",
        ),
        ({"set": ["deeplift.baseline=image"], "baseline": "upload:../x"}, "does not name"),
        ({"set": ["deeplift.baseline=image"], "baseline": "no-such.png"}, "no-such.png"),
        ({"opacity": "9" * 5000}, "It says"),
        ({"methods": "smoothgrad", "set": ["smoothgrad.n_samples=0"]}, "from 2 to 1000"),
        ({"methods": "smoothgrad", "set": ["smoothgrad.colour=red"]}, "colour"),
        ({"opacity": "lots", "sign": "sideways", "view": "<script>"}, "It says"),
    ],
)
def test_a_senseless_address_gets_a_sentence(query: dict[str, Any], notice: str) -> None:
    app = opened(**query)
    assert notice.lower() in words(app).lower().replace("\\", "")
    app.query_params.clear()
    app.query_params["example"] = "digit-7.png"
    app.query_params["model"] = "digits_cnn"
    app.query_params["methods"] = "saliency"
    settle(app)
    assert not app.exception
    assert "It says **7**" in words(app)


def upload(app: AppTest, name: str, data: bytes) -> AppTest:
    app.file_uploader(key="upload:pixels").set_value((name, data, "image/png"))
    return settle(app)


def test_an_upload_is_explained() -> None:
    app = opened(methods="saliency")
    upload(app, "mine.png", gallery_item("digit-8.png").example().data)
    assert "It says **8**" in words(app)
    assert param(app, "example")[0].startswith("upload:")


@pytest.mark.parametrize("name", sorted(images.HOSTILE))
def test_a_hostile_upload_gets_a_sentence(name: str) -> None:
    make, word = images.HOSTILE[name]
    app = opened(methods="saliency")
    upload(app, f"{name}.png", make())
    assert not app.exception
    assert word.lower() in words(app).lower().replace("\\", "")
    app.query_params["example"] = "digit-7.png"
    settle(app)
    assert "It says **7**" in words(app)


def test_a_request_with_the_address_from_before_does_not_take_a_change_back() -> None:
    app = opened(model="digits_cnn", example="digit-7.png", methods="saliency")
    before = {name: param(app, name) for name in app.query_params}
    app.selectbox(key="bound:model").select("fashion_cnn")
    settle(app)
    after = {name: param(app, name) for name in app.query_params}
    assert (before["model"], after["model"]) == (["digits_cnn"], ["fashion_cnn"])
    app.query_params.clear()
    for name, values in before.items():
        app.query_params[name] = values
    settle(app)
    assert {name: param(app, name) for name in app.query_params} == after


def test_a_dear_method_waits_for_a_click() -> None:
    app = opened(methods="shapley_value_sampling", set=["shapley_value_sampling.n_samples=9000"])
    assert "Shapley value sampling" in words(app)
    assert "takes about" in words(app)
    assert len(app.dataframe) == 0
    assert any(button.label == "Compute" for button in app.button)


def test_nobody_waits_behind_an_example_that_was_passed_by() -> None:
    """Integrated gradients on the largest model take seconds; another view is chosen at once."""
    if "imagenet_efficientnet" not in cached.models():
        pytest.skip("needs the extra 'imagenet'")
    app = opened(model="imagenet_efficientnet", example="photo-cat.jpg", methods="saliency")

    def explain() -> None:
        app.query_params["methods"] = "integrated_gradients"
        app.run()
        for button in [each for each in app.button if each.label == "Compute"]:
            button.click().run()  # where the machine is busy it is offered, not begun

    explain()
    (passed_by,) = [x for x in handles(app) if x.state in ("waiting", "running")]
    assert passed_by.call.parameters["method"] == "integrated_gradients"
    app.query_params["methods"] = "saliency"
    settle(app)
    assert passed_by.state == "cancelled"
    assert passed_by not in handles(app)
    assert "cancelled" not in words(app).lower()
    explain()
    settle(app)
    assert list(app.dataframe[0].value["Method"]) == ["Integrated gradients"]


@pytest.mark.parametrize(
    "model",
    [
        name
        if name in ("digits_cnn", "fashion_vit", "text_rnn", "translator", "tabular_mlp")
        else pytest.param(name, marks=pytest.mark.slow)  # one more of a kind
        for name in (*MODELS, *TEXT_MODELS, *TABLE_MODELS)
    ],
)
def test_overview_of_every_model(model: str) -> None:
    app = opened("views/overview.py", model=model)
    assert app.title[0].value == "Overview"
    assert len(app.metric) == 4
    assert all(metric.value not in ("", "…") for metric in app.metric)
    assert len(charts(app)) >= 2
    assert cached.models()[model].summary in words(app).replace("\\", "")


@pytest.mark.parametrize(("width", "beside"), [(1040, True), (520, False)])
def test_the_picture_of_the_overview_has_room(
    width: int, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the words only where there is room for both."""
    monkeypatch.setattr(ruler, "width", lambda: width)
    app = opened("views/overview.py", model="digits_cnn")
    assert any(each.columns for each in app.main.columns) is beside


def test_a_target_that_is_not_there_gives_way_to_the_predicted_class() -> None:
    app = opened(methods="saliency,deeplift", target="zebra")
    assert [str(each.value) for each in app.warning] == [
        state.plain(
            "There is no class 'zebra'. Known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. "
            "The predicted class is explained."
        )
    ]
    assert list(app.dataframe[0].value["Target"]) == ["3", "3"]
    assert "target" not in app.query_params
    assert not any(button.label == "Try again" for button in app.button)


def test_an_unusable_upload_offers_no_second_try() -> None:
    app = opened(methods="saliency")
    upload(app, "text.png", b"not a picture at all")
    assert app.error
    assert not any(button.label == "Try again" for button in app.button)


def test_words_from_the_address_are_not_markdown() -> None:
    app = opened(methods="saliency", target="![x](http://example.org/x.png)")
    shown = [str(error.value) for error in app.warning]
    assert any("example" in text for text in shown)
    assert not any("![x](" in text for text in shown)


def test_a_model_folder_is_opened_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    from tests.indoors import admit_here
    from tests.test_huggingface import bert, tokenizer

    admit_here(monkeypatch)
    bert().save_pretrained(tmp_path / "mine")
    tokenizer(tmp_path / "mine")
    app = opened(model=f"hf:{tmp_path / 'mine'}", methods="feature_ablation")
    assert "so so" in words(app) or "bad" in words(app) or "good" in words(app)
    assert app.dataframe[0].value["Method"].tolist() == ["Token ablation"]
    app = opened(model=f"hf:{tmp_path / 'nowhere'}")
    assert "There is no folder" in words(app)
    app = opened(model="hf:somebody/something")  # what an address names is not fetched
    assert "There is no model" in words(app)


def test_what_a_translator_writes_is_shown() -> None:
    app = opened(model="translator", example="verse-king.txt", methods="feature_ablation")
    (line,) = [each.value for each in app.markdown if each.value.startswith("It writes")]
    assert "rey" in line
    assert "king" not in line
