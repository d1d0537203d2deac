"""The recipes that learn from texts: subwords, masks, decoding, BLEU, dictionary, vectors."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from core.errors import BadInput, BadParameter
from core.training.config import Config
from sample_models.subwords import END, PAD, START, UNKNOWN, Subwords
from sample_models.text_rnn import TextRNN
from sample_models.text_training import TopicClassifier, Vocabulary
from sample_models.topics import topics
from sample_models.translation import Translation, alignment, bleu, padded, translate_texts
from sample_models.translator import Translator, translate
from sample_models.verses import aligned, sentence, tidy, verses, words
from sample_models.word_dictionary import WordDictionary
from sample_models.word_vectors import word_vectors

PAIRS = [
    ("the house", "la casa"),
    ("the book", "el libro"),
    ("a house", "una casa"),
    ("a book", "un libro"),
    ("the green house", "la casa verde"),
    ("a green book", "un libro verde"),
]
SMALL = {"vocabulary": 60, "width": 16, "layers": 2, "heads": 2, "hidden": 32, "dropout": 0.1}


@pytest.fixture
def network() -> Translator:
    torch.manual_seed(3)
    return Translator(40, width=16, layers=2, heads=4, hidden=32).eval()


def test_shipped_verses() -> None:
    pairs = verses()
    assert len(pairs) == 17_811
    assert len({source for source, _ in pairs}) == len(pairs)
    assert max(len(text.split()) for pair in pairs for text in pair) == 25
    assert (
        "you shall have no other gods before me.",
        "no tendrás dioses ajenos delante de mí.",
    ) in (pairs)
    assert not any(mark in text for pair in pairs for text in pair for mark in "<>[]“”\t\n")


def test_verses_are_aligned_by_reference() -> None:
    english = (
        "Genesis 1:3: God said, “Let there be light,”[1:3 a note] and there was light.\n"
        "A psalm by David. []\n  Psalms 23:1: Yahweh is my shepherd;\nI shall lack nothing.\n\n"
        "A psalm by David. []\n  Psalms 23:2: Only in English.\n"
    )
    spanish = (
        "Genesis 1:3: Y dijo Dios: Sea la luz: y fué <G1> la luz.\n"
        "Psalms 23:1: Salmo de David. JEHOVÁ es mi pastor; nada me faltará.\n"
    )
    assert aligned(english, spanish) == [
        (
            "god said, let there be light, and there was light.",
            "y dijo dios: sea la luz: y fué la luz.",
        ),
        ("yahweh is my shepherd; i shall lack nothing.", "jehová es mi pastor; nada me faltará."),
    ]


def test_words_and_sentence_are_inverse() -> None:
    for text in ("¿quién eres, señor?", "it's he (the king's son): go!", "is-boseth; y"):
        assert sentence(words(text)) == text
    assert tidy("«Él  dijo»: “Ven”") == "él dijo: ven"


def test_subwords_merge_the_most_frequent_pair_first() -> None:
    text = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    found = Subwords.learn(text, 30)
    # A slow twin: count all pairs anew before every merge.
    spelt = [list("▁" + word) for word in text]
    for merge in found.merges:
        counts: dict[tuple[str, str], int] = {}
        for pieces in spelt:
            for pair in pairwise(pieces):
                counts[pair] = counts.get(pair, 0) + 1
        assert merge == min(counts, key=lambda pair: (-counts[pair], pair))
        for pieces in spelt:
            for at in range(len(pieces) - 1, 0, -1):
                if (pieces[at - 1], pieces[at]) == merge:
                    pieces[at - 1 : at + 1] = ["".join(merge)]
    assert len(found.merges) > 5


def test_subwords_round_trip() -> None:
    found = Subwords.learn((word for pair in PAIRS for text in pair for word in words(text)), 50)
    again = Subwords.from_json(found.as_json())
    for text in ("the green house", "una bel", "ha ha"):
        assert found.decode(found.encode(words(text))) == words(text)
        assert again.encode(words(text)) == found.encode(words(text))
    assert UNKNOWN in found.encode(["xyz"])
    assert found.decode([START, *found.encode(["casa"]), END, *found.encode(["verde"])]) == ["casa"]
    assert max(found.encode(words("the green house"))) < len(found)


def test_translator_does_not_see_later_pieces(network: Translator) -> None:
    source = torch.tensor([[5, 6, 7, 8]])
    target = torch.tensor([[START, 9, 10, 11, 12]])
    changed = target.clone()
    changed[0, 3:] = torch.tensor([30, 31])
    with torch.no_grad():
        before, after = network(source, target), network(source, changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])


def test_padding_changes_nothing(network: Translator) -> None:
    source, target = [5, 6, 7], [START, 9, 10]
    with torch.no_grad():
        alone = network(torch.tensor([source]), torch.tensor([target]))
        beside = network(
            padded([source, [11, 12, 13, 14, 15, 16]]), padded([target, [START, 9, 10, 11, 12]])
        )
    torch.testing.assert_close(beside[:1, :3], alone)


def test_cross_attention_is_a_distribution_over_the_source(network: Translator) -> None:
    source = padded([[5, 6, 7], [8, 9, 10, 11, 12]])
    with torch.no_grad():
        logits, attention = network(source, torch.tensor([[START, 4], [START, 5]]), True)
        torch.testing.assert_close(logits, network(source, torch.tensor([[START, 4], [START, 5]])))
    assert attention.shape == (2, 4, 2, 5)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 4, 2))
    assert attention[0, :, :, 3:].abs().max() == 0


def test_greedy_is_the_most_likely_next_piece_and_a_beam_of_one(network: Translator) -> None:
    source = padded([[5, 6, 7], [8, 9, 10, 11, 12]])
    found = translate(network, source)
    for row, answer in zip(source, found, strict=True):
        pieces = [START]
        with torch.no_grad():
            longest = 2 * int((row != PAD).sum()) + 10
            for size in range(1, longest + 1):
                logits = network(row[row != PAD][None], torch.tensor([pieces]))[0, -1]
                logits[[PAD, START]] = -math.inf
                pieces.append(int(logits.argmax()) if size < longest else END)
                if pieces[-1] == END:
                    break
        assert answer.tolist()[: len(pieces) - 1] == pieces[1:]


def test_a_wide_beam_finds_the_best_of_all(network: Translator) -> None:
    """With a beam as wide as there are beginnings, nothing is lost: compared with trying all."""
    torch.manual_seed(0)
    small = Translator(7, width=8, layers=1, heads=2, hidden=8).eval()
    with torch.no_grad():
        small.embedding.weight.mul_(4)  # so that the answers differ
    source = torch.tensor([[4, 5, 6]])  # at most 4 pieces: -2 × 3 + 10
    found = translate(small, source, beam=700, growth=-2)[0].tolist()
    letters = [END, UNKNOWN, 4, 5, 6]
    best, best_score = [], -math.inf
    stack: list[list[int]] = [[]]
    while stack:
        pieces = stack.pop()
        if pieces and pieces[-1] == END:
            with torch.no_grad():
                logits = small(source, torch.tensor([[START, *pieces[:-1]]]))[0]
            chances = logits.log_softmax(dim=-1)
            total = sum(float(chances[at, piece]) for at, piece in enumerate(pieces))
            if total / len(pieces) > best_score:
                best, best_score = pieces, total / len(pieces)
            continue
        allowed = letters if len(pieces) < 3 else [END]
        stack += [[*pieces, letter] for letter in allowed]
    assert [piece for piece in found if piece != PAD][: len(best)] == best


def test_bleu_by_hand() -> None:
    reference = "the cat sat on the mat today"
    assert bleu([reference], [reference]) == pytest.approx(100)
    # 6 of 7 words, 4 of 6 pairs, 3 of 5 triples, 2 of 4 quadruples; no brevity penalty
    expected = 100 * (6 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** 0.25
    assert bleu(["the cat sat on the rug today"], [reference]) == pytest.approx(expected)


def test_dictionary_learns_words_and_alignments() -> None:
    dictionary = WordDictionary(PAIRS, iterations=30)
    assert dictionary.translate("house book green") == "casa libro verde"
    assert dictionary.translate("zebra house") == "zebra casa"
    found = dictionary.align(words("the green house"), words("la casa verde"))
    assert found.shape == (3, 3)
    assert found.argmax(axis=1).tolist() == [0, 2, 1]
    assert (found.sum(axis=1) <= 1 + 1e-9).all()
    assert dictionary.align(["zebra"], ["casa"]).max() == 0


def translation(guide: float = 0.5) -> Translation:
    settings = Config.of("translator", {**SMALL, "guide": guide}).settings
    torch.manual_seed(0)
    return Translation({"train": PAIRS, "val": PAIRS, "test": PAIRS}, settings, {"name": "tiny"})


def test_translation_learns_pairs_by_heart() -> None:
    learned = translation()
    optimiser = torch.optim.Adam(learned.module.parameters(), lr=5e-3)
    batch = learned.splits["train"].__getitems__(range(len(PAIRS)))
    for _ in range(150):
        optimiser.zero_grad()
        learned.answer(learned.module, batch).loss.backward()
        optimiser.step()
    sources = [source for source, _ in PAIRS]
    targets = [target for _, target in PAIRS]
    assert learned.translate(sources) == targets
    assert learned.translate(sources, beam=3) == targets
    learned.module.eval()
    look = alignment(learned.module, learned.subwords, "the green house", "la casa verde")
    np.testing.assert_allclose(look.sum(axis=1), 1, rtol=1e-5)
    assert look.argmax(axis=1)[1:].tolist() == [2, 1]
    metrics = learned.extra_metrics(learned.module, "test", lambda batch: batch)
    assert set(metrics) == {"bleu", "bleu_beam", "alignment"}


def test_translation_batches_and_loss() -> None:
    learned = translation()
    batch = learned.splits["train"].__getitems__([0, 4])
    assert batch["alignment"].shape[1:] == (batch["target"].shape[1] - 1, batch["source"].shape[1])
    assert "alignment" not in learned.splits["val"].__getitems__([0])
    learned.module.eval()
    with torch.no_grad():
        together = learned.answer(learned.module, batch)
        apart = [
            learned.answer(learned.module, learned.splits["train"].__getitems__([i]))
            for i in (0, 4)
        ]
    assert together.count == sum(each.count for each in apart)
    mean = sum(float(each.loss) * each.count for each in apart) / together.count
    assert float(together.loss) == pytest.approx(mean, rel=1e-5)


def test_translations_do_not_depend_on_their_company() -> None:
    learned = translation()
    texts = ["the house", "a", "", "a green house a green house"]
    together = translate_texts(learned.module, learned.subwords, texts, batch_size=4)
    apart = [translate_texts(learned.module, learned.subwords, [text])[0] for text in texts]
    assert together == apart


def test_translation_refuses_heads_that_do_not_fit() -> None:
    with pytest.raises(BadParameter, match="heads"):
        Translation(
            {"train": PAIRS}, Config.of("translator", {"heads": 5, "width": 16}).settings, {}
        )


def test_topics_from_a_package_index() -> None:
    index = (
        "Package: a\nSection: games\nDescription: A game of go\n\n"
        "Package: b\nDescription-en: A game of go\nSection: games\n\n"
        "Package: c\nSection: sound\nDescription: plays sounds\n\n"
        "Package: d\nSection: net\nDescription: plays sounds\n\n"
        "Package: e\nSection: libs\nDescription: a library\n\n"
        "Package: f\nSection: net\nDescription: chat\n"
    )
    assert topics(index) == [("A game of go", "games"), ("chat", "network")]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_text_rnn_ignores_padding(cell: str) -> None:
    torch.manual_seed(0)
    network = TextRNN(50, 3, cell, width=8, hidden=6).eval()
    with torch.no_grad():
        alone = network(torch.tensor([[5, 6, 7]]))
        beside = network(padded([[5, 6, 7], [8, 9, 10, 11, 12]]))
        reversed_ = network(torch.tensor([[7, 6, 5]]))
    assert alone.shape == (1, 3)
    torch.testing.assert_close(beside[:1], alone)
    assert not torch.allclose(alone, reversed_)


def test_vocabulary_counts_texts() -> None:
    found = Vocabulary.learn(["b b b", "a c", "c a"], 6)
    assert found.known == ("a", "c")
    assert found.encode("A b c") == [4, UNKNOWN, 5]
    assert found.encode("") == [UNKNOWN]


def test_word_dropout_spares_padding_and_repeats() -> None:
    settings = Config.of("text_rnn", {"word_dropout": 0.5, "pretrain": False}).settings
    parts = {"train": (["one two three", "four"], [0, 1])}
    learned = TopicClassifier(parts, ("a", "b"), settings, {})
    batch = learned.splits["train"].__getitems__([0, 1] * 50)
    varied, labels = learned.augment(batch, torch.Generator().manual_seed(1))
    again, _ = learned.augment(batch, torch.Generator().manual_seed(1))
    assert torch.equal(varied, again)
    assert torch.equal(labels, batch[1])
    assert torch.equal(varied == PAD, batch[0] == PAD)
    left_out = (varied == UNKNOWN)[batch[0] != PAD].float().mean()
    assert 0.35 < left_out < 0.65


def test_word_vectors_put_like_words_together() -> None:
    texts = [[0, 1, 2], [0, 3, 2], [4, 5, 6], [4, 7, 6]] * 10
    vectors = word_vectors(texts, 9, 3)
    unit = vectors[:8] / np.linalg.norm(vectors[:8], axis=1, keepdims=True)
    assert unit[1] @ unit[3] > 0.9 > abs(unit[1] @ unit[5])
    assert np.abs(vectors[8]).max() < 1e-6
    np.testing.assert_array_equal(vectors, word_vectors(texts, 9, 3))


def test_no_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    from sample_models import topics as module

    module.package_index.cache_clear()
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(BadInput, match="package index"):
        module.descriptions()
