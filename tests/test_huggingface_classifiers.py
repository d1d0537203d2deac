"""Classifiers of the transformers library that are not like the others: how their weights are kept,
how their classes are judged, and how they look up their tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.errors import BadModel
from core.models.catalogue import card, reference
from core.models.loader import load
from core.models.predict import predict
from core.progress import Meter
from tests.test_huggingface import SMALL, TEXT, bert, copied, indoors, tokenizer  # noqa: F401

transformers = pytest.importorskip("transformers")

_WIDE = {"vocab_size": SMALL["vocab_size"], "num_labels": 3}
_ENDS = {"pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 3}


def bart() -> Any:
    config = transformers.BartConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, bos_token_id=2,
        max_position_embeddings=24, **_WIDE, **_ENDS,
    )  # fmt: skip
    return transformers.BartForSequenceClassification(config)


def t5() -> Any:
    config = transformers.T5Config(
        d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=4, **_WIDE, **_ENDS
    )
    return transformers.T5ForSequenceClassification(config)


def xlnet() -> Any:
    config = transformers.XLNetConfig(d_model=16, n_layer=1, n_head=2, d_inner=32, **_WIDE)
    return transformers.XLNetForSequenceClassification(config)


def longformer() -> Any:
    config = transformers.LongformerConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, attention_window=8, pad_token_id=0, **_WIDE,
    )  # fmt: skip
    return transformers.LongformerForSequenceClassification(config)


def deberta() -> Any:
    config = transformers.DebertaV2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, relative_attention=True, pos_att_type=["p2c", "c2p"],
        position_buckets=8, **_WIDE,
    )  # fmt: skip
    return transformers.DebertaV2ForSequenceClassification(config)


def gpt2() -> Any:
    config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=24, **_WIDE)
    return transformers.GPT2ForSequenceClassification(config)


KINDS = {
    each.__name__: each for each in (bart, t5, xlnet, longformer, deberta, gpt2)
}  # fmt: skip


def saved(folder: Path, model: Any, **how: Any) -> Path:
    model.save_pretrained(folder, **how)
    tokenizer(folder)
    return folder


def changed(folder: Path, **values: Any) -> Path:
    about = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(about | values))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_answers_and_attributions(kind: str, tmp_path: Path) -> None:
    """The library's answer, and a gradient that sums to its change however tokens are looked up."""
    torch.manual_seed(5)
    folder = saved(tmp_path / kind, KINDS[kind]())
    model = load(reference(str(folder)), "cpu")
    (found,) = predict(model, [TEXT], {}, 0, Meter())
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        ids = words(TEXT.data.decode(), return_tensors="pt")["input_ids"]
        expected = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    np.testing.assert_allclose(found.logits, expected.numpy(), atol=1e-5)
    settings = {"n_steps": 200, "baseline": "padding"}
    parameters = {"method": "integrated_gradients", "settings": settings}
    (seen,) = attribute(model, [TEXT], parameters, 0, Meter())
    change = seen.score - (seen.baseline_score or 0.0)
    assert abs(change) > 1e-7
    assert float(seen.values.sum()) == pytest.approx(change, rel=0.02, abs=1e-6)
    if describe(model).fits["layer_conductance"].usable:
        (through,) = attribute(model, [TEXT], {"method": "layer_conductance"}, 0, Meter())
        assert np.isfinite(through.values).all()


def test_weights_in_several_files(tmp_path: Path) -> None:
    torch.manual_seed(6)
    whole = bert()
    one = saved(tmp_path / "one", whole)
    many = saved(tmp_path / "many", whole, max_shard_size="2KB")
    assert len(list(many.glob("*.safetensors"))) > 2
    assert card(str(many)).raw["parameters"] == card(str(one)).raw["parameters"]
    answers = [
        predict(load(reference(str(each)), "cpu"), [TEXT], {}, 0, Meter())[0].logits
        for each in (one, many)
    ]
    np.testing.assert_allclose(*answers, atol=1e-6)
    before = reference(str(many)).fingerprint
    shard = min(many.glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert reference(str(many)).fingerprint != before
    shard.unlink()
    with pytest.raises(BadModel, match=f"lacks {shard.name}"):
        reference(str(many))


@pytest.mark.parametrize("name", ["../one/model.safetensors", "model.bin", "/etc/passwd"])
def test_an_index_names_only_files_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "many", bert(), max_shard_size="2KB")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(BadModel, match="which is not read"):
        card(str(folder))


def test_classes_judged_one_by_one(tmp_path: Path) -> None:
    torch.manual_seed(7)
    folder = saved(tmp_path / "several", bert(problem_type="multi_label_classification"))
    assert "several may be true" in card(str(folder)).summary
    (found,) = predict(load(reference(str(folder)), "cpu"), [TEXT], {}, 0, Meter())
    expected = 1 / (1 + np.exp(-found.logits.astype(np.float64)))
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-6)


def test_what_answers_with_a_number_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "number", bert())
    with pytest.raises(BadModel, match="answers with one number"):
        card(str(changed(folder, id2label={"0": "score"})))
    labels = {"0": "a", "1": "b", "2": "c"}
    with pytest.raises(BadModel, match="answers with numbers"):
        card(str(changed(folder, id2label=labels, problem_type="regression")))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"id2label": {"a": "x", "b": "y", "c": "z"}}, "are not numbered: a, b, c"),
        ({"id2label": {"0": "x", "1": "y"}}, "has another shape"),
        ({"architectures": "BertForSequenceClassification"}, "of an unknown kind"),
        ({"architectures": None}, "of an unknown kind"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told(
    values: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = changed(copied(saved(tmp_path / "sound", bert()), tmp_path), **values)
    with pytest.raises(BadModel, match=words):
        load(reference(f"hf:{folder}"), "cpu")


def test_an_unreadable_configuration_is_told(tmp_path: Path) -> None:
    folder = saved(tmp_path / "torn", bert())
    (folder / "config.json").write_text("{")
    with pytest.raises(BadModel, match=r"'config\.json' is no JSON, or it is cut off"):
        card(str(folder))
