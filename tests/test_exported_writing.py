"""Exports of encoder–decoders: a text, and beside it what was written so far."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_exported_clean import saved
from test_held_inputs import inside  # noqa: F401 - a fixture
from test_huggingface import t5, tokenizer
from torch import Tensor, nn

import core
from core.attention.compute import attention
from core.attribution.compute import attribute
from core.checkup.check import examined
from core.errors import BadInput, BadModel
from core.models.exported import own
from core.models.exported.description import Description, token
from core.models.formats import door
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.progress import Meter
from core.tasks import Example, Task
from tests.indoors import admit_here

transformers = pytest.importorskip("transformers")

AUTO = torch.export.Dim.AUTO
TEXT = Example("text", b"The film was good, but too long.")
SAID = Example("text", TEXT.data, outputs=("I slept",))
WORDS = ["<pad>", "<unk>", "</s>", "the", "cat", "sat", "on", "a", "mat"]


def bart() -> Any:
    """Scales its embeddings, and begins outputs with the token that ends them."""
    config = transformers.BartConfig(
        vocab_size=18, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, scale_embedding=True,
        max_position_embeddings=32, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        decoder_start_token_id=3, forced_eos_token_id=None, init_std=0.5,
    )  # fmt: skip
    return transformers.BartForConditionalGeneration(config)


def exported(network: nn.Module, path: Path, free: bool = True) -> Path:
    """By plain PyTorch, without a card."""
    ids, said = torch.arange(14).reshape(2, 7), torch.ones(2, 5, dtype=torch.int64)
    given = {"input_ids": ids, "decoder_input_ids": said, "use_cache": False}
    axes = {0: AUTO, 1: AUTO}
    shapes = {"input_ids": axes, "decoder_input_ids": axes, "use_cache": None} if free else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch.export.save(torch.export.export(network, (), given, dynamic_shapes=shapes), path)
    return path


def run(verb: Any, model: LoadedModel, example: Example, **parameters: Any) -> Any:
    """One result of a verb."""
    (found,) = verb(model, [example], parameters, 0, Meter())
    return found


@pytest.mark.parametrize("kind", ["t5", pytest.param("bart", marks=pytest.mark.slow)])
def test_an_export_is_the_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answers, reasons, layers and attention; and the live network's scores."""
    admit_here(monkeypatch)
    torch.manual_seed(5)
    network = (t5 if kind == "t5" else bart)().eval()
    folder = tmp_path / "folder"
    network.save_pretrained(folder)
    tokenizer(folder)
    theirs = load(core.reference(f"hf:{folder}"), "cpu")
    words = (folder / "tokenizer.json").read_text()
    start = network.config.decoder_start_token_id
    about = Description(
        tokenizer={"json": words, "eos": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"},
        held={"decoder_input_ids": start} if start else {},  # else that of its padding
    )
    added = door.add(exported(network, tmp_path / "net.pt2"), about)
    words = f"'decoder_input_ids' takes what was written so far, which begins with token {start}"
    assert any(words in each for each in added.notes)
    ours = load(core.reference(added.name), "cpu")
    assert ours.card.task is Task.TRANSLATION
    ids = torch.tensor([ours.adapter.tokenizer.encode(TEXT.data.decode()).ids])  # type: ignore[attr-defined]
    for example in (TEXT, SAID):
        one, other = (run(predict, each, example) for each in (ours, theirs))
        assert one.classes == other.classes
        assert one.logits == pytest.approx(other.logits, abs=1e-5)
        values = [
            run(attribute, each, example, method="integrated_gradients", target="top",
                settings={"n_steps": 4}).values
            for each in (ours, theirs)
        ]  # fmt: skip
        assert values[0] == pytest.approx(values[1], abs=1e-5)
        assert np.abs(values[0]).max() > 1e-4
    with ours.exclusive() as module, torch.no_grad():
        said = torch.tensor([[start, 13, 14]])
        truth = network(input_ids=ids, decoder_input_ids=said).logits
        torch.testing.assert_close(module(ids, said), truth)
        made = network.generate(input_ids=ids, num_beams=1, do_sample=False, max_new_tokens=6)
        assert module.produce(ids, 6).tolist() == made[:, 1:].tolist()  # type: ignore[operator]
    batch = ours.adapter.encode([SAID], ours)
    spoken = batch.context[1]
    scores = network(
        input_ids=batch.context[0],
        decoder_input_ids=torch.cat([torch.full((1, 1), start), spoken[:, :-1]], dim=1),
    ).logits.log_softmax(-1)
    chances = scores.gather(-1, spoken[..., None])[0, :, 0].tolist()
    found = run(predict, ours, SAID).logits.tolist()
    assert found == pytest.approx([*chances, sum(chances)], abs=1e-4)
    maps = [run(attention, each, SAID, layers="all") for each in (ours, theirs)]
    assert {each.role for each in maps[0].layers} == {"encoder", "decoder", "cross"}
    assert [each.shape for each in maps[0].maps] == [each.shape for each in maps[1].maps]
    for one, other in zip(maps[0].maps, maps[1].maps, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    report = examined(ours, 0, Meter())
    assert len(report.layers) > 20
    assert not [each for each in report.findings if each.level == "bad"]


class Writer(nn.Module):
    """Answers by the mean of its text and of what it has written, in one table of embeddings."""

    def __init__(self, apart: bool = False, ahead: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 6)
        self.other = nn.Embedding(len(WORDS), 6) if apart else None
        self.head = nn.Linear(6, len(WORDS))
        self.ahead = ahead

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        """Logits ``[example, token, vocabulary]``."""
        read = torch.tanh(self.embedding(src)).mean(1, keepdim=True)
        said = (self.embedding if self.other is None else self.other)(tgt)
        count = torch.ones_like(said).cumsum(1)
        past = said.mean(1, keepdim=True).expand_as(said) if self.ahead else said.cumsum(1) / count
        return self.head(read * 3 + past)


def writer(**about: bool) -> Writer:
    """The same one each time."""
    torch.manual_seed(1)
    return Writer(**about).eval()


IDS, TGT = torch.tensor([[3, 4, 5, 6], [4, 5, 6, 7]]), torch.tensor([[0, 3, 4], [0, 5, 6]])


def test_a_network_of_ones_own_writes(tmp_path: Path) -> None:
    network = writer()
    name = door.add(core.pack(network, (IDS, TGT), tmp_path / "net", tokenizer=WORDS)).name
    about = own.card(name)
    assert (about.task, about.raw["held"]) == (Task.TRANSLATION, {"tgt": 0})
    assert "src' is looked into; 'tgt' takes what was written so far" in about.summary
    example = core.text("the cat sat", "on a mat")
    ref = core.reference(name)
    ids, said = torch.tensor([[3, 4, 5]]), torch.tensor([[6, 7, 8, 2]])  # and its end
    before = torch.tensor([[0, 6, 7, 8]])
    with torch.no_grad():
        scores = network(ids, before).log_softmax(-1).gather(-1, said[..., None])[0, :, 0]
    (found,) = core.predict(ref, [example])
    assert found.logits.tolist() == pytest.approx([*scores.tolist(), float(scores.sum())], abs=1e-5)
    (why,) = core.attribute(
        ref, [example], "integrated_gradients", target="whole output", baseline="zero", n_steps=64
    )
    table = network.embedding.weight.detach()
    rows = [table[ids], table[before]]
    total = [torch.zeros_like(each) for each in rows]
    begins = rows[1].clone()  # the baseline: zeros, behind the start, which stays
    begins[:, 1:] = 0
    ways = [rows[0], rows[1] - begins]
    for step in range(256):  # the same along a straight line, by hand
        share = (step + 0.5) / 256
        parts = [ways[0] * share, begins + ways[1] * share]
        parts = [each.requires_grad_() for each in parts]
        read = torch.tanh(parts[0]).mean(1, keepdim=True)
        past = parts[1].cumsum(1) / torch.arange(1, 5)[:, None]
        chances = network.head(read * 3 + past).log_softmax(-1)
        score = chances.gather(-1, said[..., None]).sum()
        for each, gradient in zip(total, torch.autograd.grad(score, parts), strict=True):
            each += gradient / 256
    truth = torch.cat([(g * way).sum(-1)[0] for g, way in zip(total, ways, strict=True)])
    assert why.values == pytest.approx(truth.numpy(), abs=2e-3)
    assert np.abs(why.values[:3]).max() > 0.05


def test_what_begins_an_output_is_said(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from dashboard.cli import app

    path = core.pack(writer(), (IDS, TGT), tmp_path / "net.pt2", tokenizer=WORDS)
    name = door.add(path).name
    first = core.reference(name)
    done = CliRunner().invoke(app, ["add", str(path), "--hold", "tgt=1"])
    assert done.exit_code == 0, done.output
    assert "begins with token 1" in " ".join(done.output.split())
    assert core.reference(name).fingerprint != first.fingerprint
    (found,) = core.predict(core.reference(name), [core.text("the cat", "sat")])
    with torch.no_grad():
        scores = writer()(torch.tensor([[3, 4]]), torch.tensor([[1]])).log_softmax(-1)
    assert found.logits[0] == pytest.approx(float(scores[0, 0, 5]), abs=1e-5)
    for value, words in (("tgt=1,2", "begins with one token"), ("tgt=9", "from 0 to 8")):
        wrong = CliRunner().invoke(app, ["add", str(path), "--hold", value])
        assert words in str(wrong.exception)
    wrong = CliRunner().invoke(app, ["add", str(path), "--task", "text-classification"])
    assert "is for translation" in str(wrong.exception)


def test_an_export_of_fixed_lengths_is_filled_up(tmp_path: Path) -> None:
    """What stands behind changes nothing before; more than fits is refused."""
    about = Description(tokenizer={"words": WORDS})
    name = door.add(saved(writer(), (IDS, TGT), tmp_path / "net.pt2"), about).name
    assert own.card(name).raw["found"]["held"]["tgt"]["shape"] == [3]
    model = load(core.reference(name), "cpu")
    for count in (1, 2, 5):
        with model.exclusive() as module, torch.no_grad():
            ids, said = IDS[:1].repeat(count, 1), TGT[1:, :2].repeat(count, 1)
            torch.testing.assert_close(module(ids, said), writer()(ids, said))
            assert module.produce(ids[:1], 9).shape[1] <= 3  # type: ignore[operator]
    with pytest.raises(BadInput, match="has 4 tokens, the model takes 3"):
        core.predict(core.reference(name), [core.text("the cat sat on", "on a mat")])


def test_what_does_not_write_so_is_told(tmp_path: Path) -> None:
    for more, words in (({"apart": True}, "in one table"), ({"ahead": True}, "the later ones")):
        with pytest.raises(BadModel, match=words):
            core.pack(writer(**more), (IDS, TGT), tmp_path / "net", tokenizer=WORDS)
    path = core.pack(writer(), (IDS, TGT), tmp_path / "net.pt2", tokenizer=WORDS)
    with pytest.raises(BadModel, match="cannot be looked into"):
        own.settle(own.at(own.card(door.add(path).name).folder), Description(look_into=("tgt",)))


class Aspect(nn.Module):
    """What a text says of a target: no output of a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 6)
        self.head = nn.Linear(6, 2)

    def forward(self, ids: Tensor, target_ids: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.head(self.embedding(ids).mean(1) * self.embedding(target_ids).mean(1))


def test_an_input_may_only_be_called_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Aspect().eval()
    path = core.pack(
        network, (IDS, TGT), tmp_path / "net", tokenizer=WORDS, held={"target_ids": [7, 8, 4]}
    )
    ref = core.reference(door.add(path).name)
    assert own.card(ref.name).task is Task.TEXT_CLASSIFICATION
    (found,) = core.predict(ref, [core.text("the cat")])
    with torch.no_grad():
        truth = network(torch.tensor([[3, 4]]), torch.tensor([[7, 8, 4]]))[0]
    assert found.logits.tolist() == pytest.approx(truth.tolist(), abs=1e-6)


def test_a_token_has_a_number() -> None:
    raw = {"added_tokens": [{"id": 3, "content": "</s>"}], "model": {"vocab": {"cat": 7}}}
    for about in ({"json": json.dumps(raw)}, {"json": raw}):
        assert [token(about, each) for each in ("</s>", "cat", "dog")] == [3, 7, None]
    assert token({"words": WORDS}, "mat") == 8
    for broken in ({}, {"json": "{"}, {"json": "[]"}, {"json": '{"added_tokens": 3}'}):
        assert token(broken, "cat") is None


def test_masks_and_fixed_lengths_of_the_library(tmp_path: Path) -> None:
    """Exported with both masks, for two texts of seven tokens and outputs of five."""
    torch.manual_seed(5)
    network = bart().eval()
    ones = torch.ones(2, 7, dtype=torch.int64)
    given = {
        "input_ids": ones,
        "attention_mask": ones.clone(),
        "decoder_input_ids": ones[:, 2:].clone(),
        "decoder_attention_mask": ones[:, 2:].clone(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        program = torch.export.export(network, (), {**given, "use_cache": False})
        torch.export.save(program, tmp_path / "net.pt2")
    about = Description(tokenizer={"words": [*WORDS, *"abcdefghi"]})
    ref = core.reference(door.add(tmp_path / "net.pt2", about).name)
    found = own.card(ref.name).raw["found"]
    assert found["filled"] == {"attention_mask": "ones", "decoder_attention_mask": "ones"}
    ids, said = torch.tensor([[2, 5, 6, 7, 8, 9, 3]] * 3), torch.tensor([[3, 4, 5]] * 3)
    with load(ref, "cpu").exclusive() as module, torch.no_grad():
        truth = network(input_ids=ids, decoder_input_ids=said).logits
        torch.testing.assert_close(module(ids, said), truth)
