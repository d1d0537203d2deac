"""Concept scores: where the direction is known, as Captum's TCAV, and without a meaning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from core.codec import decode, encode
from core.concepts import compute
from core.concepts.compute import concept_scores
from core.concepts.inside import activations, gradients, layers_through
from core.concepts.offered import offered
from core.concepts.sets import ConceptSet, request
from core.concepts.vectors import HELD_OUT, Space, unusual
from core.data.dataset import Dataset, dataset
from core.errors import BadInput, NotValid, UnknownName
from core.models.catalogue import card
from core.progress import Meter
from core.tasks import Example, Target
from tests.toy_models import CLASSES, PlainCNN, example, load, tensor

SHAPE = (1, 6, 6)


class Known(nn.Module):
    """``ant`` rises with the first feature, ``bee`` falls with it, ``cat`` knows only the second;
    all through a hidden layer that passes on the first eight.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(36, 8, bias=False)
        self.answer = nn.Linear(8, len(CLASSES), bias=False)
        self.hidden.weight.data = torch.eye(8, 36)
        self.answer.weight.data.zero_()
        self.answer.weight.data[:3, :2] = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])

    def forward(self, values: Tensor) -> Tensor:
        logits: Tensor = self.answer(self.hidden(values.flatten(1)))
        return logits


def noise(count: int, high: int | None = None, seed: int = 0) -> list[Example]:
    """Noise, in which one feature may be high."""
    values = np.random.default_rng(seed).standard_normal((count, 36)).astype(np.float32)
    if high is not None:
        values[:, high] += 4
    return [Example(f"{seed}-{row}", each.tobytes()) for row, each in enumerate(values)]


def of(examples: Sequence[Example], labels: Any = None, name: str = "noise") -> Dataset:
    """A data set of these."""
    return Dataset(
        name, [each.name for each in examples], lambda row: examples[row], "f" * 64, labels, CLASSES
    )


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """120 examples of noise, of two classes, that the verb finds."""
    found = of(noise(120, seed=1), np.arange(120) % 3)
    monkeypatch.setattr(compute, "open_dataset", lambda ref: found)
    return found


def scored(data: Dataset, sets: Sequence[ConceptSet], target: str, **settings: Any) -> Any:
    inputs, parameters = request(data, target, sets, **settings)
    return concept_scores(load(Known(), SHAPE), inputs, parameters, 0, Meter())


def test_a_direction_that_is_known(data: Dataset) -> None:
    first = ConceptSet("first", examples=tuple(noise(40, 0, seed=2)))
    second = ConceptSet("second", examples=tuple(noise(40, 1, seed=3)))
    other = ConceptSet("other", examples=tuple(noise(40, 7, seed=4)))
    for target, score, sensitivity in (("ant", 1.0, 0.9), ("bee", 0.0, -0.9)):
        found = scored(data, [first, second, other], target, draws=20, repeats=3)
        assert found.layers == ("hidden",)
        assert found.target.label == target
        assert (found.scores[0, 0] == score).all()
        assert found.sensitivity[0, 0].mean() == pytest.approx(sensitivity, abs=0.1)
        assert found.accuracy[0, 0] > 0.9
        assert found.told[:, 0].tolist() == [True, False, False]
        assert found.band(0, 0)[0] < found.sensitivity[1, 0].mean() < found.band(0, 0)[1]
        assert found.examples == 40
        assert decode(encode(found)).p.tolist() == found.p.tolist()
    assert scored(data, [first, second], "cat", draws=20, repeats=3).told[:, 0].tolist() == [
        False,
        True,
    ]


def test_random_sets_pass_for_concepts_no_more_often_than_they_may(data: Dataset) -> None:
    sets = [ConceptSet(str(n), examples=tuple(noise(30, seed=10 + n))) for n in range(40)]
    found = scored(data, sets, "ant", repeats=3)
    each = found.p[:, 0] / 40  # before the correction, where it is not cut at 1
    assert not found.told.any()
    alone = [unusual(float(found.sensitivity[n, 0].mean()), found.random[n, 0]) for n in range(40)]
    assert np.mean(np.array(alone) < 0.05) < 0.2  # 0.05 expected; tested as many it is over 0.5
    assert (each <= np.array(alone) + 1e-12).all()
    assert abs(found.random.mean()) < 0.1


def test_it_is_captums_tcav(tmp_path: Path) -> None:
    """The same classifier within Captum's TCAV, in all 384 dimensions, gives the same scores."""
    from captum.concept import TCAV, Classifier, Concept

    shape, layer, seed = (3, 12, 12), "conv1", 5
    torch.manual_seed(0)
    module = PlainCNN()
    model = load(module, shape)
    concept = [example(shape, n) for n in range(20)]
    others = [example(shape, 100 + n, scale=0.6) for n in range(20)]
    members = [example(shape, 200 + n) for n in range(30)]
    values = activations(model, [*concept, *others], [layer], "whole", 0, Meter())[layer]
    slopes = gradients(model, members, [layer], "whole", Target(2, "cat"), 0, Meter())[layer]
    assert values.shape == (40, 6 * 144)
    space = Space.of(values, slopes)
    rows, rest = np.arange(20), np.arange(20, 40)
    score, _ = space.along(space.vector(rows, rest, seed)[0])

    generator, learned = np.random.default_rng(seed), []
    for part in (rest, rows):
        order = generator.permutation(part)
        learned.append(order[round(len(order) * HELD_OUT) :])
    centred = values - values.mean(axis=0)
    scale = float(np.sqrt((centred.astype(np.float64) ** 2).sum(axis=1).mean()))

    class Twin(Classifier):
        """Logistic regression on all numbers, from the same examples."""

        def __init__(self) -> None:
            self.linear = LogisticRegression(max_iter=2000, tol=1e-8)

        def train_and_eval(self, dataloader: Any, **kwargs: Any) -> None:
            seen, labels = (torch.cat(each).numpy() for each in zip(*dataloader, strict=True))
            assert np.allclose(seen, values, atol=1e-6)
            kept = np.concatenate(learned)
            self.linear.fit((seen[kept] - values.mean(axis=0)) / scale, 1 - labels[kept])

        def weights(self) -> Tensor:
            towards = torch.from_numpy(self.linear.coef_[0])
            return torch.stack([towards, -towards])

        def classes(self) -> list[int]:
            return [0, 1]

    def loader(examples: Sequence[Example]) -> Any:
        batch = torch.cat([tensor(each, shape) for each in examples])
        return torch.utils.data.DataLoader(list(batch), batch_size=20)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        captum = TCAV(module, [layer], classifier=Twin(), save_path=str(tmp_path / "cav"))
        sets = [[Concept(0, "concept", loader(concept)), Concept(1, "random", loader(others))]]
        batch = torch.cat([tensor(each, shape) for each in members])
        said = captum.interpret(batch, sets, target=2)["0-1"][layer]["sign_count"]
    assert score == pytest.approx(float(said[0]), abs=1e-6)
    assert 0 < score < 1


def test_what_lies_outside_the_examples_span_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    values, slopes = generator.standard_normal((30, 200)), generator.standard_normal((50, 200))
    turned = np.linalg.qr(generator.standard_normal((200, 200)))[0]
    rows, rest = np.arange(15), np.arange(15, 30)
    one, other = Space.of(values, slopes), Space.of(values @ turned * 7, slopes @ turned)
    a, b = (each.along(each.vector(rows, rest, 0)[0]) for each in (one, other))
    assert a[0] == b[0]
    assert one.values.shape == (30, 29)  # centred: one less


def test_layers_and_bad_input(data: Dataset) -> None:
    good = ConceptSet("good", rows=tuple(range(20)))
    with pytest.raises(BadInput, match=r"'one' has 1 example, expected at least 6"):
        scored(data, [ConceptSet("one", examples=tuple(noise(1)))], "ant")
    with pytest.raises(BadInput, match="no concept"):
        scored(data, [], "ant")
    with pytest.raises(BadInput, match="same name"):
        scored(data, [good, replace(good, rows=(1,))], "ant")
    with pytest.raises(UnknownName, match="elephant"):
        scored(data, [good], "elephant")
    with pytest.raises(BadInput, match="no example of the class 'emu'"):
        scored(data, [good], "emu")
    with pytest.raises(UnknownName):
        scored(data, [good], "ant", layers=["nowhere"])


def test_data_without_labels_and_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    concept = ConceptSet("first", examples=tuple(noise(20, 0)))
    bare = of(noise(60, seed=1))
    monkeypatch.setattr(compute, "open_dataset", lambda ref: bare)
    found = scored(bare, [concept], "dog", repeats=2, draws=10)
    assert "does not change with what 'hidden'" in found.notes[1]
    assert (found.p == 1).all()
    assert found.examples == 60
    assert "no labels" in found.notes[0]
    few = of(noise(8, seed=1))
    monkeypatch.setattr(compute, "open_dataset", lambda ref: few)
    with pytest.raises(BadInput, match="8 examples, too few"):
        scored(few, [concept], "ant")


def test_a_network_without_a_hidden_layer() -> None:
    from tests.toy_models import Linear

    with pytest.raises(NotValid, match="no layer before its answer"):
        layers_through(load(Linear(), SHAPE))


@pytest.mark.parametrize(
    ("name", "layers", "concepts"),
    [
        ("digits_cnn", ("conv1", "conv2", "dense1"), "Lying stripes"),
        ("text_rnn", ("recurrent",), "Short texts"),
        ("tabular_mlp", ("hidden.0", "hidden.3"), "High worst radius"),
    ],
)
def test_sample_models_have_concepts(name: str, layers: tuple[str, ...], concepts: str) -> None:
    from core.models.catalogue import reference
    from core.models.loader import load as load_model

    sets = offered(card(name), dataset(card(name)))
    assert concepts in [each.name for each in sets]
    assert all(len(each) >= 20 and each.about for each in sets)
    assert layers_through(load_model(reference(name), "cpu")) == layers


def test_models_that_write_have_no_concepts() -> None:
    from core.models.catalogue import reference
    from core.models.loader import load as load_model

    with pytest.raises(NotValid, match="writes"):
        concept_scores(load_model(reference("tiny_lm"), "cpu"), (), {}, 0, Meter())


def test_malignant_leans_on_a_large_radius() -> None:
    from core.models.catalogue import reference
    from core.models.loader import load as load_model

    found = dataset(card("tabular_mlp"))
    sets = {each.name: each for each in offered(card("tabular_mlp"), found)}
    model = load_model(reference("tabular_mlp"), "cpu")
    inputs, parameters = request(found, "malignant", [sets["High worst radius"]], ["hidden.0"])
    scores = concept_scores(model, inputs, parameters, 0, Meter())
    assert scores.told.all()
    assert scores.scores.mean() > 0.95


def test_a_persons_own_examples(tmp_path: Path) -> None:
    from core.concepts.own import of_file, of_path, packed

    digits, topics, rows = card("digits_cnn"), card("text_rnn"), card("tabular_mlp")
    pictures = [(f"{n}.png", dataset(digits)[n].data) for n in range(7)]
    name, data = packed("round", pictures)
    assert packed("round", pictures)[1] == data  # the same bytes, so the same address
    found = of_file(Example(name, data), digits)
    assert (found.name, len(found)) == ("round", 7)
    assert [each.data for each in found.examples] == [each for _, each in pictures]
    assert len(of_file(Example(*pictures[0]), digits)) == 1
    (tmp_path / "pictures").mkdir()
    for each, content in pictures:
        (tmp_path / "pictures" / each).write_bytes(content)
    assert len(of_path("mine", tmp_path / "pictures", digits)) == 7
    lines = tmp_path / "audio.txt"
    lines.write_text("a player\n\nan editor of sounds\n")
    texts = of_path("audio", lines, topics)
    assert [each.data for each in texts.examples] == [b"a player", b"an editor of sounds"]
    assert texts.about == "2 texts of audio.txt"
    table = tmp_path / "rows.csv"
    table.write_text("a,b\n1,2\n3,4\n")
    assert len(of_path("rows", table, rows)) == 2
    with pytest.raises(BadInput):
        of_path("gone", tmp_path / "nowhere", digits)
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(BadInput):
        of_path("empty", empty, topics)
    with pytest.raises(BadInput):
        of_file(Example("broken.zip", b"PK\x03\x04 and nothing more"), digits)


def test_pictures_of_another_size_are_brought_to_the_models() -> None:
    from core.concepts.textures import textures
    from core.models.catalogue import reference
    from core.models.loader import load as load_model

    model = load_model(reference("digits_cnn"), "cpu")
    large = textures(90, 60, 3)["Dots"][:3]
    assert activations(model, large, ["dense1"], "auto", 0, Meter())["dense1"].shape == (3, 128)


def test_the_figure_shows_no_number_where_there_is_none(data: Dataset) -> None:
    from dashboard.figures.concepts import concept_bars

    first = ConceptSet("<first>", examples=tuple(noise(40, 0, seed=2)))
    other = ConceptSet("other", examples=tuple(noise(40, 7, seed=4)))
    found = scored(data, [first, other], "ant")
    for dark in (False, True):
        figure = concept_bars(found, dark=dark)
        texts = [each.text for each in figure.layout.annotations]
        assert "<b>100%</b>" in texts
        assert texts.count("≈ random") == 1
        bars = figure.data[1]
        assert bars.x[0] == pytest.approx(found.sensitivity[0, 0].mean())
        assert bars.x[1] == 0
        assert figure.layout.yaxis.ticktext[0] == "&lt;first&gt;"
    low, high = found.band(0, 0)
    assert (
        found.told[:, 0] == [not low <= s.mean() <= high for s in found.sensitivity[:, 0]]
    ).all()
