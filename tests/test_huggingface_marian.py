"""Tokenizers that do not say where their tokens are: aligned by what the tokens spell; and Marian
translators, whose tokenizers are of that kind.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.attention.compute import attention
from core.attribution.compute import attribute
from core.models.alignment import aligned
from core.models.catalogue import card, reference
from core.models.loader import load
from core.models.predict import predict
from core.progress import Meter
from core.tasks import Example, Task, Tokens
from tests.test_huggingface import indoors  # noqa: F401

transformers = pytest.importorskip("transformers")

SOURCE = ["The river is deep and cold.", "A king sat by the river.", "Cold kings see deep rivers."]
TARGET = ["El río es hondo y frío.", "Un rey se sentó junto al río.", "Los reyes ven ríos hondos."]


def marian(folder: Path) -> Path:
    """A folder as ``MarianMTModel`` and its tokenizer save it, with pieces learned from above."""
    spm = pytest.importorskip("sentencepiece")
    folder.mkdir()
    pieces: list[str] = []
    for name, texts in (("source", SOURCE), ("target", TARGET)):
        made = io.BytesIO()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(texts * 20), model_writer=made, vocab_size=44,
            character_coverage=1.0, hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        (folder / f"{name}.spm").write_bytes(made.getvalue())
        model = spm.SentencePieceProcessor(model_proto=made.getvalue())
        pieces += [model.id_to_piece(i) for i in range(model.get_piece_size())]
    known = dict.fromkeys(["</s>", "<unk>", *pieces])
    known.pop("<s>")
    vocab = {piece: place for place, piece in enumerate([*known, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    about = {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "es"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    torch.manual_seed(4)
    pad = vocab["<pad>"]
    config = transformers.MarianConfig(
        vocab_size=len(vocab), d_model=16, encoder_layers=2, decoder_layers=2, max_length=12,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, max_position_embeddings=40, pad_token_id=pad, eos_token_id=0,
        decoder_start_token_id=pad, forced_eos_token_id=0, scale_embedding=True,
    )  # fmt: skip
    transformers.MarianMTModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "pieces", "words"),
    [
        ("The river", ["▁The", "▁ri", "ver"], ["The", "ri", "ver"]),
        ("playing games", ["play", "##ing", "games"], ["play", "ing", "games"]),
        ("low lower", ["low</w>", "low", "er</w>"], ["low", "low", "er"]),
        ("hello there", ["hel@@", "lo", "there"], ["hel", "lo", "there"]),
        ("ＦＵＬＬ ﬁne", ["▁full", "▁fine"], ["ＦＵＬＬ", "ﬁne"]),
        ("a 😀 b", ["▁a", "▁", "<unk>", "▁b"], ["a", "", "", "b"]),
        ("río  y   mar", ["▁río", "▁y", "▁mar"], ["río", "y", "mar"]),
        ("", ["▁x"], [""]),
    ],
)
def test_pieces_are_found_in_order(text: str, pieces: list[str], words: list[str]) -> None:
    spans = aligned(text, pieces)
    assert [text[start:end] for start, end in spans] == words
    flat = [place for span in spans for place in span]
    assert flat == sorted(flat)


@pytest.mark.filterwarnings("ignore:Recommended")
def test_a_marian_translator_is_asked_and_explained(tmp_path: Path) -> None:
    folder = marian(tmp_path / "opus")
    assert card(str(folder)).task is Task.TRANSLATION
    model = load(reference(str(folder)), "cpu")
    example = Example("river.txt", SOURCE[0].encode())
    (found,) = predict(model, [example], {}, 0, Meter())
    axis = found.axis
    assert isinstance(axis, Tokens)
    read = [place for place, part in enumerate(axis.parts) if part == 0 and not axis.special[place]]
    spelt = "".join(axis.text[axis.spans[i][0] : axis.spans[i][1]] for i in read)
    assert spelt.replace(" ", "") == SOURCE[0].replace(" ", "")

    theirs = transformers.MarianMTModel.from_pretrained(folder).eval()
    words = transformers.MarianTokenizer.from_pretrained(folder)
    with torch.no_grad():
        ids = words(SOURCE[0], return_tensors="pt")["input_ids"]
        out = theirs.generate(input_ids=ids, num_beams=1, do_sample=False, max_new_tokens=12)
    said = words.decode(out[0], skip_special_tokens=True)
    written = axis.text.partition("\n")[2]
    assert written.replace(" ", "").startswith(said.replace(" ", "")[:10])

    (seen,) = attribute(model, [example], {"method": "integrated_gradients"}, 0, Meter())
    assert seen.delta is not None
    assert abs(seen.delta) < 0.02
    (maps,) = attention(model, [example], {"layers": "all"}, 0, Meter())
    assert {layer.role for layer in maps.layers} == {"encoder", "decoder", "cross"}
    for each in maps.maps:
        np.testing.assert_allclose(each.sum(axis=2), 1, atol=1e-5)
