"""Every method on texts: closed forms, Captum called by hand, twins, and what is left behind."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor
from toy_texts import MAKERS, MASK, PAD, BagOfTokens, Syllables, example, toy

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.registry import method, methods
from core.codec import decode, encode
from core.errors import BadModel, BadParameter
from core.models.embedded import substituted
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.parameters import checked
from core.progress import Meter
from core.results import Attribution
from core.results.levels import at_level
from core.tasks import Example, Tokens

NAMES = [each.name for each in methods("tokens") if each.family != "attention"]
COMPLETE = [each.name for each in methods("tokens") if each.complete]
LINEAR = [
    "input_x_gradient",
    "integrated_gradients",
    "gradient_shap",
    "deeplift",
    "feature_ablation",
    "shapley_value_sampling",
    "kernel_shap",
]


def found(model: LoadedModel, name: str, target: str = "for", **settings: object) -> Attribution:
    parameters = {"method": name, "target": target, "settings": settings}
    (each,) = attribute(model, [example()], parameters, 0, Meter())
    return each


def tokens_of(each: Attribution) -> Tokens:
    assert isinstance(each.axis, Tokens)
    return each.axis


def ids_of(model: LoadedModel) -> Tensor:
    (ids,) = model.adapter.encode([example()], model).context
    return ids


@pytest.mark.parametrize("toy_name", list(MAKERS))
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, toy_name: str) -> None:
    """Shape, finiteness, completeness, a round trip through the codec, and nothing left behind."""
    model = toy(toy_name)
    hooks = [len(part._forward_hooks) for part in model._module.modules()]
    if not describe(model).fits[name].usable:
        pytest.skip("not valid for this network")
    each = found(model, name)
    assert each.values.shape == each.axis.shape
    assert np.isfinite(each.values).all()
    assert each.picture is None
    assert each.signed == method(name, "tokens").signed
    if not each.signed:
        assert (each.values >= 0).all()
    if name in COMPLETE:
        assert each.delta is not None
    if name in COMPLETE and name != "gradient_shap":  # which draws its points
        assert abs(each.delta) < 0.05 * (1 + abs(each.score - (each.baseline_score or 0)))
    again = decode(encode(each))
    np.testing.assert_array_equal(again.values, each.values)
    assert again.axis == each.axis
    assert [len(part._forward_hooks) for part in model._module.modules()] == hooks


@pytest.mark.parametrize("name", LINEAR)
def test_closed_form_on_a_linear_model(name: str) -> None:
    """Each is ``w·(e_i − b)``; special tokens keep their embedding, so they have nothing to add."""
    model = toy("bag")
    module = model._module
    assert isinstance(module, BagOfTokens)
    settings = {} if name == "input_x_gradient" else {"baseline": "mask"}
    each = found(model, name, "for vs against", **settings)
    embedded = module.embedding.weight.detach()
    weight = (module.dense.weight[0] - module.dense.weight[1]).detach()
    ids = ids_of(model)[0]
    expected = embedded[ids] @ weight
    if settings:
        inside = torch.tensor([not special for special in tokens_of(each).special])
        expected = (expected - embedded[MASK] @ weight) * inside
    np.testing.assert_allclose(each.values, expected.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["saliency", "smoothgrad"])
def test_gradients_are_lengths(name: str) -> None:
    """On the linear model the gradient at every token is the same vector."""
    model = toy("bag")
    weight = model._module.dense.weight[0].detach()
    expected = np.full(found(model, name).values.shape, float(torch.linalg.vector_norm(weight)))
    np.testing.assert_allclose(found(model, name).values, expected, rtol=1e-5)


def test_integrated_gradients_equal_captums_on_the_layer() -> None:
    model = toy("transformer")
    each = found(model, "integrated_gradients", n_steps=20)
    ids = ids_of(model)
    special = torch.tensor(tokens_of(each).special)
    baseline = torch.where(special, ids, torch.full_like(ids, PAD))
    with model.exclusive() as module:
        captum = LayerIntegratedGradients(module, module.embedding)
        values = captum.attribute(ids, baselines=baseline, target=0, n_steps=20)
    np.testing.assert_allclose(each.values, values[0].sum(-1).detach().numpy(), atol=1e-5)


def test_token_ablation_equals_running_the_text_without_each_token() -> None:
    model = toy("transformer")
    each = found(model, "feature_ablation", baseline="mask")
    ids, module = ids_of(model), model._module
    with torch.no_grad():
        whole = module(ids)[0, 0]
        for place, special in enumerate(tokens_of(each).special):
            changed = ids.clone()
            changed[0, place] = MASK
            expected = 0.0 if special else float(whole - module(changed)[0, 0])
            assert each.values[place] == pytest.approx(expected, abs=1e-5)


def test_occlusion_of_spans_equals_its_slow_twin() -> None:
    model = toy("transformer")
    each = found(model, "occlusion", baseline="mask", window=3, stride=1)
    ids, module = ids_of(model), model._module
    special = torch.tensor(tokens_of(each).special)
    total, seen = np.zeros(len(special)), np.zeros(len(special))
    with torch.no_grad():
        whole = module(ids)[0, 0]
        for start in range(len(special) - 2):
            changed = ids.clone()
            changed[0, start : start + 3] = MASK
            changed = torch.where(special, ids, changed)
            total[start : start + 3] += float(whole - module(changed)[0, 0])
            seen[start : start + 3] += 1
    np.testing.assert_allclose(each.values, total / seen / 3, atol=1e-5)


def test_kernel_shap_of_words_comes_near_exact_shapley_values() -> None:
    model = toy("transformer")
    settings = {"baseline": "mask", "segments": "sentence", "n_samples": 2000}
    each = found(model, "kernel_shap", **settings)
    axis, ids, module = tokens_of(each), ids_of(model), model._module
    groups = at_level(axis, each.values, "sentence", fold_special=True)
    players = [g for g, places in enumerate(groups.tokens) if not axis.special[places[0]]]

    def score(present: tuple[int, ...]) -> float:
        changed = ids.clone()
        for player in players:
            if player not in present:
                changed[0, list(groups.tokens[player])] = MASK
        with torch.no_grad():
            return float(module(changed)[0, 0])

    for player in players:
        others = [each for each in players if each != player]
        exact = sum(
            (score((*chosen, player)) - score(chosen))
            / (len(players) * comb(len(others), len(chosen)))
            for size in range(len(others) + 1)
            for chosen in combinations(others, size)
        )
        assert groups.values[player] == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("segments", ["word", "sentence"])
def test_parts_that_are_switched_off_together_share_the_fall(segments: str) -> None:
    model = toy("transformer")
    each = found(model, "feature_ablation", baseline="mask", segments=segments)
    groups = at_level(tokens_of(each), each.values, segments, fold_special=True)
    ids, module = ids_of(model), model._module
    for places, value in zip(groups.tokens, groups.values, strict=True):
        assert np.ptp(each.values[list(places)]) < 1e-6
        if not tokens_of(each).special[places[0]]:
            changed = ids.clone()
            changed[0, list(places)] = MASK
            with torch.no_grad():
                assert value == pytest.approx(
                    float((module(ids) - module(changed))[0, 0]), abs=1e-5
                )


def test_levels_sum_to_each_other_and_to_the_difference() -> None:
    each = found(toy("transformer"), "integrated_gradients", n_steps=200)
    axis = tokens_of(each)
    total = each.values.sum(dtype=np.float64)
    for level in ("token", "word", "sentence"):
        for fold in (False, True):
            assert at_level(axis, each.values, level, fold).values.sum() == pytest.approx(
                total, rel=1e-12
            )
    words = at_level(axis, each.values, "word")
    sentences = at_level(axis, each.values, "sentence")
    assert [label for label in words.labels if label in ("wonderful", ",", "film")] == [
        "wonderful",
        "film",
        ",",
    ]
    assert [
        label
        for label, special in zip(sentences.labels, sentences.special, strict=True)
        if not special
    ] == ["A wonderful film, but far too long.", "I slept."]
    for sentence, value in zip(sentences.tokens, sentences.values, strict=True):
        inside = [w for w, places in enumerate(words.tokens) if set(places) <= set(sentence)]
        assert words.values[inside].sum() == pytest.approx(value, rel=1e-12)
    assert each.delta is not None
    assert total - (each.score - float(each.baseline_score or 0)) == pytest.approx(each.delta)
    folded = at_level(axis, each.values, "word", fold_special=True)
    assert folded.labels[-1] == "special tokens"
    assert not any(axis.special[i] for places in folded.tokens[:-1] for i in places)
    with pytest.raises(BadParameter, match="'letter' is not a level"):
        at_level(axis, each.values, "letter")


@pytest.mark.parametrize("kind", ["padding", "mask", "zero", "mean"])
def test_baselines_are_what_they_say(kind: str) -> None:
    model = toy("transformer")
    batch = model.adapter.encode([example()], model)
    baseline = model.adapter.baseline(batch, kind, 0, None)[0]
    weight = model._module.embedding.weight.detach()
    expected = {
        "padding": weight[PAD],
        "mask": weight[MASK],
        "zero": torch.zeros_like(weight[0]),
        "mean": weight.mean(dim=0),
    }[kind]
    torch.testing.assert_close(baseline[1:-1], expected.expand_as(baseline[1:-1]))
    assert torch.equal(baseline[[0, -1]], batch.features[0, [0, -1]])
    with pytest.raises(BadParameter, match="'blur' is not a baseline of this model"):
        model.adapter.baseline(batch, "blur", 0, None)


def test_predictions_of_many_lengths_are_those_of_each_text_alone() -> None:
    model = toy("transformer")
    texts = ["good", "not good at all", "bad, bad, bad!", "so so", "fine then", "A film."]
    many = predict(model, [example(text) for text in texts], {}, 0, Meter())
    for text, each in zip(texts, many, strict=True):
        ids = torch.tensor([Syllables().encode(text).ids])
        with torch.no_grad():
            np.testing.assert_allclose(each.logits, model._module(ids)[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_a_text_that_is_too_long_is_cut_and_says_so(
    where: Literal["start", "middle", "end"],
) -> None:
    model = toy("transformer")
    text = " ".join(f"{number}" for number in range(100))
    long = Example("long.txt", text.encode(), cut=where)
    ((_, batch),) = model.adapter.batches([long], model)
    axis = batch.axes[0]
    assert isinstance(axis, Tokens)
    words = text.split()
    kept = {"start": words[-38:], "middle": words[:19] + words[-19:], "end": words[:38]}[where]
    assert axis.pieces == ("<s>", *kept, "</s>")
    left = " … " if where == "middle" else " "
    assert axis.text == left.join([" ".join(kept[:19]), " ".join(kept[19:])])
    assert [axis.text[start:end] for start, end in axis.spans[1:-1]] == kept
    assert batch.notes == (f"62 of 102 tokens were cut at the {where}: the model takes 40.",)
    assert predict(model, [long], {}, 0, Meter())[0].notes == batch.notes


def test_a_network_that_does_not_use_its_embedding_is_refused() -> None:
    model = toy("bag")
    features = torch.zeros(1, 3, 8)
    with (
        pytest.raises(BadModel, match="does not use its token embedding"),
        substituted([model._module.embedding], [features]),
    ):
        pass
    with (
        pytest.raises(BadModel, match="cannot be followed"),
        substituted([model._module.embedding], [features]),
    ):
        model._module(torch.zeros(1, 5, dtype=torch.int64))
    assert not model._module.embedding._forward_hooks


def test_every_setting_of_every_method_has_a_sound_default() -> None:
    for each in methods("tokens"):
        settings = checked(each.parameters, {}, each.title)
        axis = tokens_of(found(toy("bag"), "saliency"))
        cost = each.cost(settings, axis)
        assert cost.forward + cost.backward > 0
