"""The shipped sample runs of the recipes on tables and texts: what their cards say is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core.models.catalogue import resolve
from core.provenance import sha256_of_file
from core.training.config import Config
from core.training.recipe import recipe
from core.training.run import Run
from sample_models.baselines import recorded, trees
from sample_models.data import CACHE
from sample_models.reviews import sentence_parts
from sample_models.sentiment_training import Pieces
from sample_models.subwords import Subwords
from sample_models.table_data import breast_cancer, moons
from sample_models.table_training import points, tabular
from sample_models.text_training import Texts, Vocabulary
from sample_models.tiny_lm_training import Lines, perplexity
from sample_models.translation import alignment, bleu, translate_texts
from sample_models.verses import verse_parts, words

RUNS = Path(__file__).parents[1] / "sample_models" / "runs"
NAMES = ("two_features", "tabular_mlp", "text_rnn", "sentiment", "translator", "tiny_lm")


def card(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RUNS / name / "card.json").read_text(encoding="utf-8"))
    return found


def network(name: str) -> nn.Module:
    module: nn.Module = resolve(card(name)["factory"])(**card(name)["arguments"])
    module.load_state_dict(load_file(RUNS / name / "model.safetensors"))
    return module.eval()


@pytest.mark.parametrize("name", NAMES)
def test_run_is_whole_and_its_own(name: str) -> None:
    run = Run.open(RUNS / name)
    assert run.config.recipe == name
    assert run.status.state == "done"
    about = card(name)
    assert about["factory"] == recipe(name).factory
    assert about["weights_sha256"] == sha256_of_file(RUNS / name / "model.safetensors")
    assert about["parameters"] == sum(p.numel() for p in network(name).parameters())
    assert list(run.folder.glob("events.out.tfevents.*"))
    assert not list(run.folder.rglob("resume.safetensors"))
    assert not [path for path in run.folder.rglob("*.json") if b"/root" in path.read_bytes()]


@pytest.mark.parametrize(
    ("name", "make", "split"), [("two_features", points, "val"), ("tabular_mlp", tabular, "test")]
)
def test_table_metrics_are_measured_again(name: str, make: Any, split: str) -> None:
    about = card(name)
    learned = make(Config.of(name).settings, None, 0)
    part = learned.splits[split]
    assert about["data"]["sha256"][split] == part.fingerprint()
    values, labels = part.__getitems__(range(len(part)))
    with torch.no_grad():
        right = (network(name)(values).argmax(dim=1) == labels).float().mean()
    assert float(right) == pytest.approx(about["metrics"]["accuracy"])


def test_baselines_belong_to_the_splits_they_were_measured_on() -> None:
    table = breast_cancer().splits
    found = recorded("tabular_mlp", table)
    assert found == card("tabular_mlp")["baseline"]
    assert found == {**found, **trees(table)}
    assert recorded("tabular_mlp", moons().splits) is None


def test_dense_network_is_within_a_point_of_the_trees() -> None:
    about = card("tabular_mlp")
    both = about["baseline"]["cross_validated"]
    assert both["tabular_mlp"] >= both["trees"] - 0.01
    assert about["metrics"]["accuracy"] >= about["baseline"]["accuracy"] - 0.01


def test_recurrent_network_is_within_two_points_of_the_linear_classifier() -> None:
    about = card("text_rnn")
    assert about["metrics"]["f1_macro"] >= about["baseline"]["f1_macro"] - 0.02
    vocabulary = Vocabulary(about["preprocessing"]["words"].split(" "))
    lines = {
        "multiplayer first-person shooter game": "games",
        "software synthesizer with MIDI input": "sound",
        "multiple alignment of protein sequences": "science",
        "IRC chat client": "network",
        "image viewer for the X Window System": "graphics",
    }
    module = network("text_rnn")
    for line, topic in lines.items():
        with torch.no_grad():
            logits = module(torch.tensor([vocabulary.encode(line)]))
        assert about["classes"][int(logits.argmax())] == topic


def test_transformer_knows_good_words_from_bad_ones() -> None:
    about = card("sentiment")
    assert about["metrics"]["f1_macro"] >= 0.66  # a linear classifier is better: the card says so
    assert about["baseline"]["f1_macro"] == pytest.approx(0.683, abs=5e-4)
    pieces = Pieces(Subwords.from_json(about["preprocessing"]))
    module = network("sentiment")
    sentences = {
        "this is a wonderful film": "positive",
        "this is a terrible film": "negative",
        "the box holds two cables and a manual": "neutral",
    }
    for sentence, judgement in sentences.items():
        with torch.no_grad():
            logits = module(torch.tensor([pieces.encode(sentence)]))
        assert about["classes"][int(logits.argmax())] == judgement


def test_judgements_are_measured_again() -> None:
    if not (CACHE / "rated-sentences.tar.gz").is_file():
        pytest.skip("the rated sentences are not at hand")
    about = card("sentiment")
    texts, labels = sentence_parts()["test"]
    part = Texts(texts, labels, Pieces(Subwords.from_json(about["preprocessing"])))
    assert about["data"]["sha256"]["test"] == part.fingerprint()
    module, right = network("sentiment"), 0
    order = sorted(range(len(part)), key=lambda i: len(part.texts[i]))
    with torch.no_grad():
        for start in range(0, len(order), 100):
            words_of, truth = part.__getitems__(order[start : start + 100])
            right += int((module(words_of).argmax(dim=1) == truth).sum())
    assert right / len(part) == pytest.approx(about["metrics"]["accuracy"], abs=0.002)


def test_translator_doubles_the_dictionary() -> None:
    about = card("translator")
    assert about["metrics"]["bleu_beam"] >= 2 * about["baseline"]["bleu"]
    assert about["metrics"]["bleu"] >= 12
    subwords = Subwords.from_json(about["preprocessing"])
    module = network("translator")
    sources, targets = zip(*verse_parts()["test"][::30], strict=True)
    found = translate_texts(module, subwords, sources)
    assert bleu(found, targets) > 20
    source, target = "the king said to david", "y el rey dijo á david"
    look = alignment(module, subwords, source, target)
    np.testing.assert_allclose(look.sum(axis=1), 1, rtol=1e-4)
    meant = {"rey": "king", "dijo": "said", "david": "david"}
    for row, word in zip(look, words(target), strict=True):
        if word in meant:
            assert words(source)[int(row.argmax())] == meant[word]


def test_language_model_is_less_perplexed_than_counting() -> None:
    about = card("tiny_lm")
    assert about["metrics"]["perplexity"] < about["baseline"]["perplexity"]
    subwords = Subwords.from_json(about["preprocessing"])
    held_out = Lines([english for english, _ in verse_parts()["test"]], subwords)
    assert about["data"]["sha256"]["test"] == held_out.fingerprint()
    module = network("tiny_lm")
    assert perplexity(module, held_out) == pytest.approx(about["metrics"]["perplexity"], rel=1e-3)
    source = subwords.encode(words("the word of the"))
    said = module.produce(torch.tensor([source]), 1)[0].tolist()  # type: ignore[operator]
    assert subwords.decode(said) in (["lord"], ["yahweh"])
