"""What the verbs of attention answer, against forwards of their own and known answers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import networkx
import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.attention.ablate import ablate_heads
from core.attention.capture import watched
from core.attention.compute import (
    attention,
    attention_flow,
    attention_layers,
    attention_overview,
)
from core.attention.flow import Step, flowed, rolled
from core.attention.statistics import statistics
from core.codec import decode, encode
from core.engine.call import Call
from core.engine.inline import InlineExecutor
from core.errors import BadParameter, NotValid, UnknownName
from core.models.catalogue import reference
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.progress import Meter
from core.tasks import Example
from tests import toy_sequences, toy_texts
from tests.images import png
from tests.toy_sequences import text


def causal(size: int, **rows: Any) -> torch.Tensor:
    return torch.ones(size, size).tril() / torch.arange(1, size + 1)[:, None]


def shifted(size: int, offset: int) -> torch.Tensor:
    """All attention to the token at this offset, where there is one."""
    places = (torch.arange(size) + offset).clamp(0, size - 1)
    return torch.eye(size)[places]


def test_heads_are_named_after_where_they_look() -> None:
    size = 8
    special = torch.zeros(size, dtype=torch.bool)
    special[[0, 7]] = True
    to_last = torch.zeros(size, size)
    to_last[:, 7] = 1.0
    to_first = to_last.flip(1)
    half = 0.5 * to_last + 0.5 * to_first
    uniform = torch.full((size, size), 1 / size)
    mostly = 0.75 * shifted(size, -1) + 0.25 * uniform
    heads = [shifted(size, -1), shifted(size, 1), torch.eye(size), to_first, to_last, half]
    found = statistics(torch.stack([*heads, uniform, mostly]), special)
    assert found.types == (
        "previous token", "next token", "same token", "first token", "special token",
        "first token", "mixed", "previous token",
    )  # fmt: skip
    np.testing.assert_allclose(found.scores[:6], [1, 1, 1, 1, 1, 0.5], atol=1e-6)
    np.testing.assert_allclose(found.scores[6], 2 / size, atol=1e-6)
    np.testing.assert_allclose(found.scores[7], 0.75 + 0.25 / size, atol=1e-6)
    np.testing.assert_allclose(found.entropy[6], np.log(size), atol=1e-6)
    np.testing.assert_allclose(found.entropy[:5], 0, atol=1e-6)
    distances = [abs(i - j) for i, j in itertools.product(range(size), range(size))]
    np.testing.assert_allclose(found.distance[6], np.mean(distances), atol=1e-6)
    np.testing.assert_allclose(found.distance[[0, 2]], [7 / 8, 0], atol=1e-6)
    assert np.array_equal(found.thumbnails[2], np.eye(size) * 255)


def test_the_first_query_of_causal_attention_has_no_choice() -> None:
    none = torch.zeros(6, dtype=torch.bool)
    found = statistics(torch.stack([causal(6), shifted(6, -1)]), none)
    assert found.types[1] == "previous token"
    rows = [1 / (i + 1) for i in range(1, 6)]  # of the other queries, to the first token
    np.testing.assert_allclose(found.scores[0], np.mean(rows), atol=1e-6)


def test_thumbnails_keep_the_largest_of_each_cell() -> None:
    weights = torch.zeros(1, 480, 96)
    weights[0, 25, 95] = 1.0
    found = statistics(weights, torch.zeros(96, dtype=torch.bool))
    assert found.thumbnails.shape == (1, 48, 48)
    assert found.thumbnails[0, 2, 47] == 255
    assert found.thumbnails.sum() == 255


def model_and_text(name: str) -> tuple[LoadedModel, Any]:
    if name == "classifier":
        return toy_texts.toy("transformer"), toy_texts.example()
    if name == "writer":
        return toy_sequences.small_lm(), text("a red fox")
    return toy_sequences.small_translator(), text("a red fox")


def plain_maps(model: LoadedModel, example: Any) -> dict[str, npt.NDArray[np.float32]]:
    batch = model.adapter.encode([example], model)
    with (
        model.exclusive() as module,
        torch.no_grad(),
        watched(module, 1, lambda layer, weights: weights[0].numpy()) as found,
    ):
        model.adapter.logits(module, batch.features, *batch.context)
    return {captured.layer.name: captured.taken for captured in found}


@pytest.mark.parametrize("name", ["classifier", "writer", "translator"])
def test_maps_and_overview(name: str) -> None:
    model, example = model_and_text(name)
    (maps,) = attention(model, [example], {"layers": "all"}, 0, Meter())
    (seen,) = attention_overview(model, [example], {}, 0, Meter())
    expected = plain_maps(model, example)
    assert [layer.name for layer in maps.layers] == list(expected)
    assert maps.layers == seen.layers == attention_layers(model)
    for place, (layer, values) in enumerate(zip(maps.layers, maps.maps, strict=True)):
        assert np.array_equal(values, expected[layer.name])
        np.testing.assert_allclose(values.sum(axis=-1), 1, atol=1e-5)
        special = torch.tensor(seen.keys[layer.role].special)
        again = statistics(torch.from_numpy(values), special)
        assert np.array_equal(seen.thumbnails[place], again.thumbnails)
        assert np.array_equal(seen.entropy[place], again.entropy)
        assert seen.head_types[place] == again.types
    for result in (maps, seen):
        back = decode(encode(result))
        assert back.layers == result.layers
        assert back.queries == result.queries


def test_axes_say_what_is_read_and_written() -> None:
    model, example = model_and_text("translator")
    (maps,) = attention(model, [example], {}, 0, Meter())
    batch = model.adapter.encode([example], model)
    letters = tuple("a red fox")
    written = [name.split(" (")[0] for name in batch.outputs[0][:-1]]
    heard = maps.queries["decoder"].labels
    assert maps.keys["encoder"].labels == maps.keys["cross"].labels == letters
    assert heard[0] == "<start>"
    assert maps.queries["decoder"].special[0]
    assert len(heard) == len(maps.queries["cross"].labels) == len(written)
    assert [x.strip() or "␣" for x in maps.queries["cross"].labels] == written
    assert maps.queries["cross"].labels[:-1] == heard[1:]
    model, example = model_and_text("writer")
    (maps,) = attention(model, [example], {}, 0, Meter())
    axis = model.adapter.encode([example], model).axes[0]
    assert maps.keys["decoder"].labels == axis.pieces


def test_a_contrast_looks_at_the_first_output_alone() -> None:
    model, _ = model_and_text("translator")
    (one,) = attention(model, [text("a red fox", "fox")], {}, 0, Meter())
    (two,) = attention(model, [text("a red fox", "fox", "red cat")], {}, 0, Meter())
    assert one.layers == two.layers
    assert all(np.array_equal(a, b) for a, b in zip(one.maps, two.maps, strict=True))


def test_layers_by_name_and_number() -> None:
    model, example = model_and_text("translator")
    names = [layer.name for layer in attention_layers(model)]
    (maps,) = attention(model, [example], {"layers": [names[3], 0, "1"]}, 0, Meter())
    assert [layer.name for layer in maps.layers] == [names[0], names[1], names[3]]
    for wrong in (["nowhere"], [17], 99):
        with pytest.raises(UnknownName, match="no attention layer"):
            attention(model, [example], {"layers": wrong}, 0, Meter())


def test_one_query_of_every_head() -> None:
    model, example = model_and_text("translator")
    cross = [layer.name for layer in attention_layers(model) if layer.role == "cross"]
    (whole,) = attention(model, [example], {"layers": cross}, 0, Meter())
    (row,) = attention(model, [example], {"layers": cross, "query": 2}, 0, Meter())
    for one, every in zip(row.maps, whole.maps, strict=True):
        assert one.flags.c_contiguous  # a copy: the rest is not kept
        assert np.array_equal(one, every[:, 2:3])
    assert row.queries["cross"].labels == whole.queries["cross"].labels[2:3]
    assert row.keys == whole.keys
    assert row.provenance.parameters == {"layers": cross, "query": 2}
    with pytest.raises(UnknownName, match="no query"):
        attention(model, [example], {"layers": cross, "query": 99}, 0, Meter())


@pytest.mark.parametrize("verb", [attention, attention_overview, attention_flow, ablate_heads])
def test_models_without_attention_say_so(verb: Any) -> None:
    model = toy_texts.toy("bag")
    with pytest.raises(NotValid, match="has no attention"):
        verb(model, [toy_texts.example()], {}, 0, Meter())


def averaged(model: LoadedModel, example: Any) -> list[tuple[str, npt.NDArray[np.float64]]]:
    (maps,) = attention(model, [example], {}, 0, Meter())
    pairs = zip(maps.layers, maps.maps, strict=True)
    return [(layer.role, values.mean(axis=0).astype(np.float64)) for layer, values in pairs]


@pytest.mark.parametrize("name", ["classifier", "writer"])
def test_rollout_is_the_product_of_layers(name: str) -> None:
    model, example = model_and_text(name)
    layers = averaged(model, example)
    expected = np.eye(len(layers[0][1]))
    for _, mean in layers:
        expected = (0.5 * np.eye(len(mean)) + 0.5 * mean) @ expected
    (rollout,) = attention_flow(model, [example], {"kind": "rollout"}, 0, Meter())
    np.testing.assert_allclose(rollout.values, expected, atol=1e-6)
    np.testing.assert_allclose(rollout.values.sum(axis=1), 1, atol=1e-5)
    (mean,) = attention_flow(model, [example], {"kind": "mean"}, 0, Meter())
    np.testing.assert_allclose(mean.values, np.mean([m for _, m in layers], axis=0), atol=1e-6)


def test_rollout_through_encoder_and_decoder() -> None:
    model, example = model_and_text("translator")
    layers = averaged(model, example)
    source, target = layers[-1][1].shape[1], layers[-1][1].shape[0]
    state = np.eye(source + target)
    for role, mean in layers:  # as one large matrix per layer
        step = np.eye(source + target)
        rows = range(source) if role == "encoder" else range(source, source + target)
        columns = range(source, source + target) if role == "decoder" else range(source)
        for i, row in enumerate(rows):
            step[row] *= 0.5
            for j, column in enumerate(columns):
                step[row, column] += 0.5 * mean[i, j]
        state = step @ state
    (rollout,) = attention_flow(model, [example], {"kind": "rollout"}, 0, Meter())
    assert rollout.role == "cross"
    np.testing.assert_allclose(rollout.values, state[source:, :source], atol=1e-6)
    (own,) = attention_flow(model, [example], {"role": "decoder"}, 0, Meter())
    assert own.values.shape == (target, target)
    np.testing.assert_allclose(own.values.sum(axis=1), 1, atol=1e-5)
    (row,) = attention_flow(model, [example], {"query": 2}, 0, Meter())
    assert np.array_equal(row.values, rollout.values[2:3])
    assert row.query.labels == rollout.query.labels[2:3]
    with pytest.raises(UnknownName, match="no query '99'"):
        attention_flow(model, [example], {"query": 99}, 0, Meter())


def test_flow_equals_networkx_and_a_known_answer() -> None:
    generator = np.random.default_rng(0)
    steps = [Step("encoder", generator.dirichlet(np.ones(4), 4)) for _ in range(3)]
    values = flowed(steps, "encoder", None, Meter())
    graph = networkx.DiGraph()
    for number, step in enumerate(steps):
        for i, j in itertools.product(range(4), range(4)):
            capacity = 0.5 * step.weights[i, j] + 0.5 * (i == j)
            graph.add_edge((number + 1, i), (number, j), capacity=capacity)
    for i, j in itertools.product(range(4), range(4)):
        assert values[i, j] == pytest.approx(
            networkx.maximum_flow_value(graph, (3, i), (0, j)), abs=2e-5
        )
    # one layer: the flow is the layer itself
    single = flowed(steps[:1], "encoder", None, Meter())
    np.testing.assert_allclose(single, rolled(steps[:1], "encoder"), atol=1e-6)
    np.testing.assert_allclose(flowed(steps, "encoder", 2, Meter()), values[2:3])


def test_a_flow_that_would_take_too_long_is_refused() -> None:
    steps = [Step("encoder", np.full((200, 200), 1 / 200)) for _ in range(3)]
    with pytest.raises(NotValid, match="would take too long"):
        flowed(steps, "encoder", None, Meter())


@pytest.mark.parametrize("way", ["zero", "mean"])
@pytest.mark.parametrize("name", ["classifier", "writer", "translator"])
def test_ablated_heads_and_undo(name: str, way: str) -> None:
    model, example = model_and_text(name)
    (before,) = predict(model, [example], {}, 0, Meter())
    layer = attention_layers(model)[-1].name
    asked = {"heads": [[layer, 0]], "with": way}
    (changed,) = ablate_heads(model, [example], asked, 0, Meter())
    (same,) = ablate_heads(model, [example], {"heads": []}, 0, Meter())
    (after,) = predict(model, [example], {}, 0, Meter())
    assert changed.classes == before.classes
    assert not np.allclose(changed.logits, before.logits, atol=1e-4)
    np.testing.assert_allclose(same.logits, before.logits, atol=1e-5)
    assert np.array_equal(after.logits, before.logits)
    assert changed.provenance.verb == "ablate_heads"
    assert changed.provenance.parameters == {"heads": [[layer, 0]], "with": way}


def test_an_ablated_head_equals_weights_of_zero() -> None:
    model, example = model_and_text("writer")
    asked = {"heads": [("SmallLM", 1)]}
    (changed,) = ablate_heads(model, [example], asked, 0, Meter())
    with model.exclusive() as module, torch.no_grad():
        kept = module.out.weight.clone()
        width = kept.shape[1] // 2
        module.out.weight[:, width:] = 0  # what the second head says goes nowhere
    try:
        (expected,) = predict(model, [example], {}, 0, Meter())
    finally:
        with model.exclusive() as module, torch.no_grad():
            module.out.weight.copy_(kept)
    np.testing.assert_allclose(changed.logits, expected.logits, atol=1e-5)


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        ([["nowhere", 0]], UnknownName, "no attention layer 'nowhere'"),
        ([["SmallLM", 2]], UnknownName, "no head of SmallLM '2'"),
        ([["SmallLM", "0"]], UnknownName, "no head of SmallLM '0'"),
        (["SmallLM"], BadParameter, "not a head"),
        (5, BadParameter, "not a head"),
    ],
)
def test_heads_that_there_are_not(heads: Any, error: Any, message: str) -> None:
    model, example = model_and_text("writer")
    with pytest.raises(error, match=message):
        ablate_heads(model, [example], {"heads": heads}, 0, Meter())


@pytest.mark.parametrize(
    ("layers", "error"),
    [([], BadParameter), (None, BadParameter), ("²", UnknownName), (["0", "7"], UnknownName)],
)
def test_layers_that_there_are_not(layers: Any, error: Any) -> None:
    model, example = model_and_text("writer")
    with pytest.raises(error, match="layer"):
        attention(model, [example], {"layers": layers}, 0, Meter())


def test_without_a_decoder_nothing_is_cross_attention() -> None:
    class Positioned(nn.Module):
        """Attention that is given positions beside the tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.inside = Inside()
            self.embedding = nn.Embedding(toy_texts.ROWS, toy_texts.WIDTH)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embedding(ids)
            out: torch.Tensor = self.inside(x, x.flip(1)).mean(dim=1)[:, :3]
            return out

    class Inside(nn.Module):
        def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            query = (x + positions)[:, None]
            return F.scaled_dot_product_attention(query, query, x[:, None])[:, 0]

    model = toy_texts.toy("bag")
    model = replace(model, _module=Positioned().eval(), memo={})
    (layer,) = attention_layers(model)
    assert (layer.name, layer.role) == ("inside", "encoder")
    (maps,) = attention(model, [toy_texts.example()], {}, 0, Meter())
    assert maps.layers == (layer,)


def test_the_engine_knows_every_verb_of_attention() -> None:
    model = reference("fashion_vit")
    example = Example("picture.png", png())
    executor = InlineExecutor()

    def answer(verb: str, **parameters: Any) -> Any:
        call = Call(verb, model, (example,), parameters, device="cpu")
        (found,) = executor.submit(call).result()
        return found

    seen = answer("attention_overview")
    assert [layer.heads for layer in seen.layers] == [4, 4, 4, 4]
    axis = seen.keys["encoder"]
    assert (axis.grid, axis.prefix, axis.labels[:2]) == ((7, 7), 1, ("class", "row 1, column 1"))
    assert axis.special == (True,) + (False,) * 49
    assert seen.picture.shape == (28, 28, 3)
    assert answer("attention", layers=[3]).maps[0].shape == (4, 50, 50)
    assert answer("attention_flow", kind="flow", query=0).values.shape == (1, 50)
    changed = answer("ablate_heads", heads=[[seen.layers[0].name, 1]])
    assert not np.array_equal(changed.logits, answer("predict").logits)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["classifier", "writer", "translator"])
def test_maps_on_cuda_equal_the_cpus(name: str) -> None:
    model, example = model_and_text(name)
    (ours,) = attention(model, [example], {}, 0, Meter())
    with model.exclusive() as module:
        there = replace(model, device=torch.device("cuda"), _module=module.cuda(), memo={})
    (theirs,) = attention(there, [example], {}, 0, Meter())
    for one, other in zip(ours.maps, theirs.maps, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)
    attention_overview(there, [example], {}, 0, Meter())
