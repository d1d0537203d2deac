"""What models that write are asked: log-probabilities of what they say, over all that they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import (
    FeatureAblation,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    LLMAttribution,
    LLMGradientAttribution,
    TextTokenInput,
)
from torch import Tensor, nn
from toy_sequences import (
    BEGIN,
    END,
    LETTERS,
    MERGED,
    PAD,
    START,
    UNKNOWN,
    VOCABULARY,
    Letters,
    SmallLM,
    small_lm,
    small_translator,
    text,
    token,
)

from core.attribution.compute import attribute
from core.codec import RESULT_TYPES, Codec
from core.engine.verbs import VERBS
from core.errors import BadInput, NotValid
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.models.produce import produce
from core.progress import Meter
from core.results import Attribution, Prediction
from core.results.levels import LEVELS, at_level
from core.tasks import Example, Target, Tokens, parse_targets

MAKERS: dict[str, Callable[..., LoadedModel]] = {"lm": small_lm, "translator": small_translator}
both = pytest.mark.parametrize("kind", MAKERS)


def answer(model: LoadedModel, example: Example) -> Prediction:
    (found,) = predict(model, [example], {}, 0, Meter())
    return found


def explain(
    model: LoadedModel, example: Example, method: str, target: str = "top", **settings: Any
) -> Attribution:
    parameters = {"method": method, "target": target, "settings": settings}
    (found,) = attribute(model, [example], parameters, 0, Meter())
    return found


def ids(words: str) -> list[int]:
    return list(Letters().encode(words).ids)


def plain(model: LoadedModel, source: str, said: list[int]) -> Tensor:
    """Log-probabilities of ``said``, by feeding one token after the other."""
    found = []
    with model.exclusive() as module, torch.no_grad():
        for place, each in enumerate(said):
            if isinstance(module, SmallLM):
                scores = module(torch.tensor([ids(source) + said[:place]]))
            else:
                scores = module(torch.tensor([ids(source)]), torch.tensor([[START, *said[:place]]]))
            found.append(torch.log_softmax(scores[0, -1], dim=-1)[each])
    return torch.stack(found)


def axis(result: Prediction | Attribution) -> Tokens:
    assert isinstance(result.axis, Tokens)
    return result.axis


@both
def test_columns_are_log_probabilities_of_what_is_said_and_of_the_whole(kind: str) -> None:
    model = MAKERS[kind]()
    said = ids("tha") + [END] * (kind == "translator")
    found = answer(model, text("see the ", "tha"))
    expected = plain(model, "see the ", said)
    np.testing.assert_allclose(found.logits[:-1], expected, atol=1e-5)
    np.testing.assert_allclose(found.logits[-1], expected.sum(), atol=1e-5)
    np.testing.assert_allclose(found.probabilities, np.exp(found.logits), rtol=1e-5)
    names = ("t", "h", "a", *(("<end>",) * (kind == "translator")), "whole output")
    assert found.classes == names


@both
def test_without_outputs_the_model_s_own_answer_is_explained(kind: str) -> None:
    model = MAKERS[kind]()
    (made,) = produce(model, [text("go on ")], {}, 0, Meter())
    found = answer(model, text("go on "))
    assert found.classes[:-1] == made.tokens
    assert axis(found).text == f"go on \n{made.text}"
    np.testing.assert_allclose(found.probabilities[:-1], made.probabilities, rtol=1e-6)
    with model.exclusive() as module:
        said = module.produce(torch.tensor([ids("go on ")]), 6)[0].tolist()  # type: ignore[operator]
    np.testing.assert_allclose(found.logits[:-1], plain(model, "go on ", said), atol=1e-5)


def test_greedy_output_of_the_language_model_is_the_most_likely_at_each_step() -> None:
    model = small_lm(most=5)
    with model.exclusive() as module, torch.no_grad():
        said: list[int] = []
        for _ in range(5):
            said.append(int(module(torch.tensor([ids("go on ") + said]))[0, -1].argmax()))
    (made,) = produce(model, [text("go on ")], {}, 0, Meter())
    assert made.text == Letters().decode(said)
    (longer,) = produce(model, [text("go on ")], {"tokens": 9}, 0, Meter())
    assert len(longer.tokens) == 9
    assert longer.text.startswith(made.text)


@both
def test_axis_has_the_input_and_what_was_said_before_each_token(kind: str) -> None:
    found = axis(answer(MAKERS[kind](), text("a cat ", "dog")))
    assert found.text == "a cat \ndog"
    begun = ("<start>", "d", "o", "g") if kind == "translator" else ("d", "o")
    assert found.pieces == ("a", " ", "c", "a", "t", " ", *begun)
    assert found.parts == (0,) * 6 + (1,) * len(begun)
    assert found.special == tuple(piece == "<start>" for piece in found.pieces)
    for piece, (start, end), special in zip(found.pieces, found.spans, found.special, strict=True):
        assert special or found.text[start:end] == piece
    words = at_level(found, np.ones(found.shape), "word", fold_special=True)
    assert words.labels[-2 if kind == "translator" else -1] in ("dog", "do")


@both
def test_contrast_is_the_difference_of_two_outputs(kind: str) -> None:
    model = MAKERS[kind]()
    two = answer(model, text("see the ", "cat", "dogs"))
    wholes = [answer(model, text("see the ", one)).logits[-1] for one in ("cat", "dogs")]
    assert two.classes[-2:] == ("whole output", "other output")
    np.testing.assert_allclose(two.logits[-2:], wholes, atol=1e-5)
    assert set(axis(two).parts) == {0, 1, 2}
    found = explain(
        model, text("see the ", "cat", "dogs"), "integrated_gradients",
        "whole output vs other output", n_steps=500,
    )  # fmt: skip
    assert found.score == pytest.approx(wholes[0] - wholes[1], abs=1e-4)
    assert found.delta == pytest.approx(0, abs=1e-3)
    apart = [
        explain(model, text("see the ", one), "integrated_gradients", "whole output", n_steps=500)
        for one in ("cat", "dogs")
    ]
    source = len("see the ")
    difference = apart[0].values[:source] - apart[1].values[:source]
    np.testing.assert_allclose(found.values[:source], difference, atol=1e-4)
    rest = [each.values[source:] for each in apart]
    np.testing.assert_allclose(found.values[source:], [*rest[0], *-rest[1]], atol=1e-4)


@both
@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "integrated_gradients"])
def test_no_token_owes_anything_to_a_later_one(kind: str, method: str) -> None:
    model, example = MAKERS[kind](), text("so ", "the cat")
    source = len("so ")
    first = source + (kind == "translator")  # features that are given when "t" is predicted
    for place in (0, 2, 4):
        values = explain(model, example, method, f"#{place}").values
        assert np.all(values[first + place :] == 0)
        assert np.all(values[:source] != 0)
        if place:
            assert np.abs(values[source : first + place]).sum() > 0


@both
@pytest.mark.parametrize("baseline", ["padding", "mask", "zero", "mean"])
def test_integrated_gradients_sum_to_the_change_of_the_whole_output(
    kind: str, baseline: str
) -> None:
    model = MAKERS[kind]()
    found = explain(
        model, text("see the ", "cat"), "integrated_gradients", n_steps=500, baseline=baseline
    )
    assert found.target.label == "whole output"
    assert found.delta is not None and found.baseline_score is not None
    assert found.delta == pytest.approx(0, abs=2e-3)
    for level in LEVELS:
        total = at_level(axis(found), found.values, level).values.sum()
        assert total == pytest.approx(found.score - found.baseline_score + found.delta, abs=1e-6)


@both
def test_ablation_is_the_fall_when_one_token_is_replaced(kind: str) -> None:
    model, example = MAKERS[kind](), text("so ", "cat")
    found = explain(model, example, "feature_ablation", "#1", baseline="mask")
    said, before = ids("cat"), ids("ca") if kind == "lm" else [START, *ids("cat")]
    given = ids("so ") + before

    def score(given: list[int]) -> float:
        with model.exclusive() as module, torch.no_grad():
            if kind == "lm":
                scores = module(torch.tensor([given]))[0, 3]
            else:
                scores = module(torch.tensor([given[:3]]), torch.tensor([given[3:]]))[0, 1]
            return float(torch.log_softmax(scores, dim=-1)[said[1]])

    for place in range(len(given)):
        if given[place] == START:
            assert found.values[place] == pytest.approx(0, abs=1e-5)
        else:
            changed = [*given[:place], UNKNOWN, *given[place + 1 :]]
            assert found.values[place] == pytest.approx(score(given) - score(changed), abs=1e-5)


class _LikeCaptumWants(nn.Module):
    """The language model with the interface that Captum's classes call."""

    device = torch.device("cpu")

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, **options: Any) -> Any:
        return SimpleNamespace(logits=self.module(input_ids))


class _LettersForCaptum:
    unk_token_id = UNKNOWN

    def encode(self, words: str, **options: Any) -> Tensor:
        return torch.tensor([ids(words)])

    def decode(self, tokens: Tensor) -> str:
        return Letters().decode(tokens.tolist())

    def convert_ids_to_tokens(self, tokens: Any) -> list[str]:
        return [str(each) for each in tokens]

    def __call__(self, words: str, **options: Any) -> Any:
        encoded = Letters().encode(words)
        return {"input_ids": list(encoded.ids), "offset_mapping": list(encoded.spans)}


def test_equal_to_captum_s_classes_for_language_models() -> None:
    model, prompt, said = small_lm(), "see the ", "cat"
    tokenizer: Any = _LettersForCaptum()
    example = text(prompt, said)
    names = ["#0", "#1", "#2", "whole output"]
    with model.exclusive() as module:
        wrapped = _LikeCaptumWants(module)
        given = TextTokenInput(prompt, tokenizer, baselines=UNKNOWN)
        ablation = LLMAttribution(FeatureAblation(wrapped), tokenizer)
        target = torch.tensor(ids(said))
        ablated = ablation.attribute(given, target=target, use_cached_outputs=False)
        layer = wrapped.module.embedding
        gradients = LLMGradientAttribution(LayerGradientXActivation(wrapped, layer), tokenizer)
        given_whole = TextTokenInput(prompt, tokenizer)
        multiplied = gradients.attribute(given_whole, target=target)
    for theirs, method, settings in (
        (ablated, "feature_ablation", {"baseline": "mask"}),
        (multiplied, "input_x_gradient", {}),
    ):
        rows = [*np.asarray(theirs.token_attr), np.asarray(theirs.seq_attr)]
        for row, name in zip(rows, names, strict=True):
            ours = explain(model, example, method, name, **settings).values[: len(prompt)]
            np.testing.assert_allclose(ours, row, atol=1e-5)


def test_equal_to_captum_s_layer_integrated_gradients() -> None:
    model, prompt, said = small_lm(), "see the ", "cat"
    given = torch.tensor([ids(prompt + said[:-1])])
    masked = torch.full_like(given, UNKNOWN)
    with model.exclusive() as module:
        theirs = []
        for place, each in enumerate(ids(said), start=len(prompt) - 1):
            chance = _Chance(module, place, each)
            method = LayerIntegratedGradients(chance, chance.module.embedding)
            theirs.append(method.attribute(given, baselines=masked, n_steps=20).sum(dim=-1)[0])
    theirs.append(torch.stack(theirs).sum(dim=0))
    for number, expected in enumerate(theirs):
        settings = {"baseline": "mask", "n_steps": 20, "quadrature": "gausslegendre"}
        ours = explain(model, text(prompt, said), "integrated_gradients", f"#{number}", **settings)
        np.testing.assert_allclose(ours.values, expected.detach(), atol=1e-5)


class _Chance(nn.Module):
    """Log-probability of one token after another."""

    def __init__(self, module: nn.Module, place: int, token: int) -> None:
        super().__init__()
        self.module, self.place, self.token = module, place, token

    def forward(self, ids: Tensor) -> Tensor:
        return torch.log_softmax(self.module(ids)[:, self.place], dim=-1)[:, self.token]


@both
def test_batches_hold_texts_of_one_length_and_answer_as_each_alone(kind: str) -> None:
    model = MAKERS[kind]()
    examples = [text("one", "yes"), text("two three"), text("six", "no."), text("two", "a", "be")]
    batches = model.adapter.batches(examples, model)
    assert sorted(place for places, _ in batches for place in places) == [0, 1, 2, 3]
    assert (0, 2) in [places for places, _ in batches]
    together = predict(model, examples, {}, 0, Meter())
    for example, found in zip(examples, together, strict=True):
        alone = answer(model, example)
        assert found.classes == alone.classes
        np.testing.assert_allclose(found.logits, alone.logits, atol=1e-5)
        assert found.axis == alone.axis


def test_an_output_that_would_run_into_the_prompt_s_last_word_is_set_off() -> None:
    model = small_lm()
    assert axis(answer(model, text("the", "cat"))).text == "the\n cat"
    assert axis(answer(model, text("the ", "cat"))).text == "the \ncat"
    assert axis(answer(model, text("the", ".cat"))).text == "the\n.cat"
    assert axis(answer(model, text("中", "文"))).text == "中\n文"


def test_prompt_and_output_are_tokenised_together_where_the_prompt_stays_the_same() -> None:
    split_in_prompt = answer(small_lm(), text("a ", "ab"))
    assert split_in_prompt.classes == (MERGED, "whole output")
    merged_over_the_seam = answer(small_lm(), text(".a'a", "'b"))
    assert merged_over_the_seam.classes == ("'", "b", "whole output")


def test_a_language_model_s_prompt_begins_but_never_ends() -> None:
    found = answer(small_lm(Letters(begins=True, ends=True)), text("go ", "on"))
    assert axis(found).pieces == ("<>", "g", "o", " ", "o")
    assert found.classes == ("o", "n", "whole output")


def test_a_translator_s_source_keeps_its_special_tokens() -> None:
    found = answer(small_translator(Letters(begins=True, ends=True)), text("go", "on"))
    assert axis(found).special == (True, False, False, True, True, False, False)


def test_spelling_of_its_own_is_shown_as_it_is() -> None:
    said = [token("a"), token("b"), token("."), END, PAD]
    found = answer(small_lm(said=said), text("see "))
    assert found.classes == ("a", "b", ".", "<end>", "whole output")
    assert axis(found).text == "see \nab."
    assert axis(found).spans[4:] == ((5, 6), (6, 7), (7, 8))
    usual = answer(small_lm(said=[token(MERGED), token(".")]), text("see "))
    assert usual.classes == (MERGED, ".", "whole output")


def test_names_of_outputs_are_distinct() -> None:
    found = answer(small_lm(), text("see ", "aa a"))
    assert found.classes == ("a", "a (2)", "␣", "a (3)", "whole output")


def test_an_example_is_produced_once() -> None:
    model = small_lm()
    for _ in range(3):
        answer(model, text("go on "))
    with model.exclusive() as module:
        assert isinstance(module, SmallLM)
        assert module.asked == 1


def test_room_for_the_output_is_kept_and_the_cut_is_told() -> None:
    model = small_lm(Letters(limit=12), most=4)
    found = answer(model, text("abcdefghijklmnop"))
    shown = axis(found)
    assert shown.pieces[:8] == (MERGED, *"cdefghi")
    assert len(shown.pieces) == 11
    assert found.notes == (
        "7 of 15 tokens were cut at the end: the model takes 12 with its output.",
    )
    start = axis(answer(model, text("abcdefghijklmnop", cut="start")))
    assert "".join(start.pieces[:8]) == "ijklmnop"
    with pytest.raises(BadInput, match="output has 12 tokens, the model takes 12"):
        answer(model, text("go ", "abcdefghijklm"))
    narrow = small_translator(Letters(limit=5))
    with pytest.raises(BadInput, match="output has 6 tokens, the model takes 5"):
        answer(narrow, text("go", "cdefg"))
    assert "3 of 8 tokens" in answer(narrow, text("cdefghij", "go")).notes[0]


@both
def test_inputs_and_outputs_without_words_are_refused(kind: str) -> None:
    model = MAKERS[kind]()
    with pytest.raises(BadInput, match="spaces"):
        answer(model, text("   "))
    with pytest.raises(BadInput, match="holds nothing"):
        answer(model, text("go", "" if kind == "translator" else "  "))


def test_silence_is_told() -> None:
    class Silent(SmallLM):
        def produce(self, ids: Tensor, limit: int) -> Tensor:
            return ids[:, :0]

    model = small_lm()
    model._module = Silent().eval()
    with pytest.raises(BadInput, match="nothing to say"):
        answer(model, text("go"))


def test_layer_conductance_of_one_output_is_complete_and_of_two_refused() -> None:
    model = small_lm()
    found = explain(model, text("see ", "cat"), "layer_conductance", n_steps=300)
    assert found.delta == pytest.approx(0, abs=5e-3)
    for outputs in (("cat", "dog"), ("c", "d")):  # of one token each, none hears the other
        with pytest.raises(NotValid, match="contrast two outputs"):
            explain(model, text("see ", *outputs), "layer_conductance")


@both
def test_each_token_s_row_adds_up_to_that_of_the_whole(kind: str) -> None:
    model = MAKERS[kind]()
    parameters = {"method": "integrated_gradients", "target": "each", "settings": {"n_steps": 10}}
    rows = attribute(model, [text("see ", "cat")], parameters, 0, Meter())
    parameters["target"] = "top"
    (whole,) = attribute(model, [text("see ", "cat")], parameters, 0, Meter())
    assert whole.unit == "log-probability"
    assert [row.target.label for row in rows] == list("cat") + ["<end>"] * (kind == "translator")
    assert whole.target.label == "whole output"
    np.testing.assert_allclose(sum(row.values for row in rows), whole.values, atol=1e-4)
    names = ["yes", "each"]  # a class of that name comes first
    assert parse_targets("each", names, np.zeros(2)) == (Target(1, "each"),)


def test_the_most_likely_output_is_the_whole() -> None:
    found = answer(small_lm(), text("see ", "cat", "dog"))
    assert found.classes[found.top(1)[0]] == "whole output"
    by_chance = sorted((0, 1, 2, 4), key=lambda place: -found.logits[place])
    assert found.top(5) == (3, *by_chance)
    (best, second) = parse_targets("top2", found.classes, found.logits)
    assert (best.label, second.index) == ("whole output", by_chance[0])


def test_an_embedding_that_two_parts_share_is_followed() -> None:
    class Apart(SmallLM):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Embedding(*self.embedding.weight.shape)
            self.shared.weight = self.embedding.weight

        def get_input_embeddings(self) -> nn.Module:
            return self.shared  # which is not the one that is called

    plain_one, apart = small_lm(), small_lm()
    module = Apart()
    with plain_one.exclusive() as known:
        module.load_state_dict({**known.state_dict(), "shared.weight": known.embedding.weight})
    apart._module = module.eval()
    example = text("see ", "cat")
    found, expected = (explain(each, example, "saliency") for each in (apart, plain_one))
    np.testing.assert_array_equal(found.values, expected.values)


def test_results_pass_through_the_engine() -> None:
    codec = Codec(RESULT_TYPES)
    model, example = small_lm(), text("go on ", "cat", "dog")
    results = (*produce(model, [example], {}, 0, Meter()), answer(model, example))
    for result in results:
        back = codec.decode(codec.encode(result))
        assert type(back) is type(result)
        for each in fields(result):
            one, other = getattr(back, each.name), getattr(result, each.name)
            assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
    assert codec.decode(codec.encode(example)) == example


def test_produce_is_a_verb_for_models_that_write() -> None:
    from toy_models import SHAPE, example, toy

    assert VERBS.functions["produce"] == "core.models.produce:produce"
    with pytest.raises(NotValid, match="does not produce text"):
        produce(toy("plain"), [example(SHAPE)], {}, 0, Meter())


def test_toy_tokens_are_apart() -> None:
    assert len({PAD, START, END, UNKNOWN, BEGIN, *map(token, LETTERS), token(MERGED)}) == VOCABULARY
