"""Attention captured from every kind of kernel equals what eager code says of itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attention.capture import Captured, watched

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
)
EXACT = {"rtol": 0.0, "atol": 1e-5}


def all_maps(module: nn.Module, forward: Callable[[], Any], size: int = 1) -> list[Captured]:
    with torch.no_grad(), watched(module, size, lambda layer, weights: weights) as found:
        forward()
    return found


def untouched(module: nn.Module) -> bool:
    hooks = all(not getattr(part, name) for part in module.modules() for name in HOOKS)
    return hooks and not torch.overrides._get_current_function_mode_stack()


def tiny_transformers() -> dict[str, tuple[Callable[[], Any], Callable[..., Any]]]:
    import transformers as hf

    small = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    wide = {**small, "intermediate_size": 48, "vocab_size": 50}
    return {
        "bert": (lambda: hf.BertConfig(**wide), hf.BertForSequenceClassification),
        "gpt2": (
            lambda: hf.GPT2Config(n_embd=32, n_layer=3, n_head=4, vocab_size=50, n_positions=64),
            hf.GPT2LMHeadModel,
        ),
        "vit": (
            lambda: hf.ViTConfig(**small, intermediate_size=48, image_size=32, patch_size=8),
            hf.ViTForImageClassification,
        ),
        "llama": (
            lambda: hf.LlamaConfig(**wide, num_key_value_heads=2, max_position_embeddings=64),
            hf.LlamaForCausalLM,
        ),
        "t5": (
            lambda: hf.T5Config(
                d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, vocab_size=50,
                decoder_start_token_id=0,
            ),
            hf.T5ForConditionalGeneration,
        ),
    }  # fmt: skip


def made(name: str, attention: str) -> Any:
    config, kind = tiny_transformers()[name]
    torch.manual_seed(3)
    model = kind._from_config(config(), attn_implementation=attention)
    for parameter in model.parameters():  # attention that is not nearly uniform
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def question(name: str) -> dict[str, Tensor]:
    torch.manual_seed(4)
    if name == "vit":
        return {"pixel_values": torch.randn(1, 3, 32, 32)}
    ids = {"input_ids": torch.randint(2, 50, (1, 11))}
    return {**ids, "decoder_input_ids": torch.randint(2, 50, (1, 7))} if name == "t5" else ids


def truth(name: str, answer: Any) -> dict[str, tuple[Tensor, ...]]:
    if name == "t5":
        return {
            "encoder": answer.encoder_attentions,
            "decoder": answer.decoder_attentions,
            "cross": answer.cross_attentions,
        }
    return {"decoder" if name in ("gpt2", "llama") else "encoder": answer.attentions}


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "vit", "llama", "t5"])
def test_hugging_face_models_equal_eager(name: str, kernel: str) -> None:
    pytest.importorskip("transformers")
    model, asked = made(name, kernel), question(name)
    with torch.no_grad():
        plain = model(**asked).logits
        said = made(name, "eager")(**asked, output_attentions=True)
        with watched(model, 1, lambda layer, weights: weights) as found:
            watched_logits = model(**asked).logits
    assert torch.equal(watched_logits, plain)
    assert untouched(model)
    expected = truth(name, said)
    assert {captured.layer.role for captured in found} == set(expected)
    for role, maps in expected.items():
        ours = [captured for captured in found if captured.layer.role == role]
        assert len({captured.layer.name for captured in ours}) == len(ours) == len(maps)
        for captured, theirs in zip(ours, maps, strict=True):
            assert captured.layer.heads == theirs.shape[1] == 4
            torch.testing.assert_close(captured.taken, theirs, **EXACT)


@pytest.mark.parametrize("name", ["bert", "t5", "nn.Transformer"])
@pytest.mark.parametrize("chosen", [slice(1, 2), slice(None, None, 2), slice(None)])
def test_known_layers_are_watched_alone(name: str, chosen: slice) -> None:
    """The same maps as all together, with the mode on in the wanted layers only."""
    if name == "nn.Transformer":
        torch.manual_seed(0)
        model: Any = nn.Transformer(16, 4, 2, 2, 32, 0.0, batch_first=True).eval()
        x = torch.randn(1, 6, 16)
        mask = torch.ones(6, 6, dtype=torch.bool).triu(1)

        def forward() -> Any:
            return model(x, x.flip(1), tgt_mask=mask)
    else:
        pytest.importorskip("transformers")
        model, asked = made(name, "sdpa"), question(name)

        def forward() -> Any:
            return model(**asked).logits

    found = all_maps(model, forward)
    known = [captured.layer for captured in found]
    wanted = [layer.name for layer in known[chosen]]
    with torch.no_grad():
        plain = forward()
        with watched(model, 1, lambda layer, w: w, known=known, wanted=wanted) as alone:
            answer = forward()
    torch.testing.assert_close(answer, plain, rtol=0, atol=1e-6)
    assert [captured.layer for captured in alone] == known[chosen]
    for ours, expected in zip(alone, found[chosen], strict=True):
        torch.testing.assert_close(ours.taken, expected.taken, rtol=0, atol=1e-6)
    assert untouched(model)


def test_fused_arguments() -> None:
    """Heads that share keys, a scale of one's own, a mask that is added."""
    torch.manual_seed(6)
    query, key, value = torch.randn(1, 6, 5, 4), torch.randn(1, 2, 7, 4), torch.randn(1, 2, 7, 4)
    bias = torch.randn(5, 7)

    class Grouped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(
                x, key, value, attn_mask=bias, scale=0.7, enable_gqa=True
            )

    module = Grouped()
    (captured,) = all_maps(module, lambda: module(query))
    for head in range(6):
        scores = 0.7 * query[0, head] @ key[0, head // 3].T + bias
        expected = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
        torch.testing.assert_close(captured.taken[0, head], expected, **EXACT)
        torch.testing.assert_close(
            captured.taken[0, head] @ value[0, head // 3], module(query)[0, head], **EXACT
        )
    assert captured.layer.role == "cross"


def test_a_padding_mask_is_kept() -> None:
    pytest.importorskip("transformers")
    ids = torch.randint(2, 50, (2, 9))
    mask = torch.ones(2, 9, dtype=torch.int64)
    mask[1, 5:] = 0
    with torch.no_grad():
        theirs = made("bert", "eager")(ids, attention_mask=mask, output_attentions=True).attentions
    model = made("bert", "sdpa")
    found = all_maps(model, lambda: model(ids, attention_mask=mask), 2)
    assert float(found[0].taken[1, :, :, 5:].max()) == 0.0
    for captured, expected in zip(found, theirs, strict=True):
        torch.testing.assert_close(captured.taken, expected, **EXACT)


def projected(module: nn.MultiheadAttention, query: Tensor, key: Tensor, mask: Any) -> Tensor:
    return module(
        query, key, key, need_weights=True, average_attn_weights=False, attn_mask=mask
    )[1]  # fmt: skip


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_multihead_attention(batch_first: bool, need_weights: bool, masked: bool) -> None:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(16, 4, batch_first=batch_first).eval()
    x = torch.randn(2, 5, 16)
    given = x if batch_first else x.transpose(0, 1)
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1) if masked else None
    with torch.no_grad():
        expected = projected(module, given, given, mask)
    options = {"need_weights": need_weights, "attn_mask": mask}
    (captured,) = all_maps(module, lambda: module(given, given, given, **options), 2)
    torch.testing.assert_close(captured.taken, expected, **EXACT)
    assert captured.layer.role == ("decoder" if masked else "encoder")


def test_transformer_with_its_fast_path() -> None:
    torch.manual_seed(0)
    model = nn.Transformer(16, 4, 2, 2, 32, 0.0, batch_first=True).eval()
    source, target = torch.randn(1, 6, 16), torch.randn(1, 6, 16)  # as long as each other
    causal = torch.ones(6, 6, dtype=torch.bool).triu(1)
    expected: dict[str, Tensor] = {}

    def telling(name: str) -> Any:
        def hook(part: Any, args: Any, kwargs: Any, output: Any) -> None:
            twin = copy.deepcopy(part)
            twin._forward_hooks.clear()
            expected[name] = projected(twin, args[0], args[1], kwargs.get("attn_mask"))

        return hook

    flag = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        fast = model(source, target, tgt_mask=causal)
    found = all_maps(model, lambda: model(source, target, tgt_mask=causal))
    assert untouched(model)
    assert torch.backends.mha.get_fastpath_enabled() is flag
    handles = [
        part.register_forward_hook(telling(name), with_kwargs=True)
        for name, part in model.named_modules()
        if isinstance(part, nn.MultiheadAttention)
    ]
    with torch.no_grad():
        answer = model(source, target, tgt_mask=causal)
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(answer, fast, rtol=0, atol=1e-6)
    assert [(c.layer.name, c.layer.role) for c in found] == [
        ("encoder.layers.0.self_attn", "encoder"),
        ("encoder.layers.1.self_attn", "encoder"),
        ("decoder.layers.0.self_attn", "decoder"),
        ("decoder.layers.0.multihead_attn", "cross"),
        ("decoder.layers.1.self_attn", "decoder"),
        ("decoder.layers.1.multihead_attn", "cross"),
    ]
    for captured in found:
        torch.testing.assert_close(captured.taken, expected[captured.layer.name], **EXACT)


class Own(nn.Module):
    """Attention written by hand, in one of many ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.qkv, self.way = nn.Linear(8, 24), way
        self.soft, self.drop = nn.Softmax(dim=-1), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(x).view(*x.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4).unbind()
        )  # fmt: skip
        scores = query @ key.transpose(-2, -1) / 2
        if self.way == "fused":
            return F.scaled_dot_product_attention(query, key, value)
        if self.way == "module":
            return self.drop(self.soft(scores)) @ value
        if self.way == "method":
            return scores.softmax(-1).matmul(value)
        if self.way == "einsum":
            return torch.einsum("bhqk,bhkd->bqhd", torch.softmax(scores, 3), value)
        flat = F.softmax(scores.flatten(0, 1), dim=-1)
        return torch.bmm(flat, value.flatten(0, 1))

    def truth(self, x: Tensor) -> Tensor:
        query, key, _ = self.qkv(x).view(*x.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4).unbind()
        scores: Tensor = query @ key.transpose(-2, -1) / 2
        return scores.exp() / scores.exp().sum(dim=-1, keepdim=True)


@pytest.mark.parametrize("way", ["fused", "module", "method", "einsum", "flat"])
def test_attention_written_by_hand(way: str) -> None:
    module, x = Own(way).eval(), torch.randn(3, 5, 8)
    (captured,) = all_maps(module, lambda: module(x), 3)
    torch.testing.assert_close(captured.taken, module.truth(x).detach(), **EXACT)


class Deep(nn.Module):
    """Two layers by name and a softmax that is no attention."""

    def __init__(self, way: str = "fused") -> None:
        super().__init__()
        self.first, self.second = Own(way), Own(way)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = x + layer(x).reshape(x.shape)
        return F.softmax(x, dim=-1).cumsum(1) @ torch.eye(8)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch.export about itself
@pytest.mark.parametrize("form", ["unflattened", "module", "decomposed"])
def test_exported_programs(form: str) -> None:
    module, x = Deep().eval(), torch.randn(1, 5, 8)
    program = torch.export.export(module, (x,))
    if form == "decomposed":
        program = program.run_decompositions()
    exported = program.module() if form == "module" else torch.export.unflatten(program)
    expected = [captured.taken for captured in all_maps(module, lambda: module(x))]
    found = all_maps(exported, lambda: exported(x))
    if form == "unflattened":
        assert [captured.layer.name for captured in found] == ["first", "second"]
    assert len(found) == len(expected) == 2
    for captured, weights in zip(found, expected, strict=True):
        torch.testing.assert_close(captured.taken, weights, **EXACT)


def test_an_exported_encoder_decoder_has_its_roles() -> None:
    torch.manual_seed(0)
    model = nn.Transformer(16, 4, 1, 2, 32, 0.0, batch_first=True).eval()
    source, target = torch.randn(1, 6, 16), torch.randn(1, 5, 16)
    about = {"tgt_mask": model.generate_square_subsequent_mask(5), "tgt_is_causal": True}
    exported = torch.export.export(model, (source, target), about).module()
    found = all_maps(exported, lambda: exported(source, target, **about))
    roles = [captured.layer.role for captured in found]
    assert roles == ["encoder", "decoder", "cross", "decoder", "cross"]


def test_only_what_is_wanted_is_computed_and_kept() -> None:
    module, x = Deep().eval(), torch.randn(1, 5, 8)
    seen: list[str] = []

    def take(layer: Any, weights: Tensor) -> str:
        seen.append(layer.name)
        return "this"

    with torch.no_grad(), watched(module, 1, take, wanted=["second"]) as found:
        module(x)
    assert seen == ["second"]
    assert [(captured.layer.name, captured.taken) for captured in found] == [("second", "this")]


def test_a_layer_used_twice_has_two_names() -> None:
    module, x = Own("fused").eval(), torch.randn(1, 5, 8)
    found = all_maps(module, lambda: (module(x), module(x)))
    assert [captured.layer.name for captured in found] == ["Own", "Own#2"]


def test_nothing_is_left_behind_after_an_exception() -> None:
    module, x = Deep(), torch.randn(1, 5, 8)

    def fail(layer: Any, weights: Tensor) -> None:
        raise KeyError(layer.name)

    with pytest.raises(KeyError, match="first"), watched(module, 1, fail):
        module(x)
    assert untouched(module)
    known = [captured.layer for captured in all_maps(module, lambda: module(x))]
    second = watched(module, 1, fail, known=known, wanted=["second"])
    with pytest.raises(KeyError, match="second"), second:
        module(x)
    assert untouched(module)


@pytest.mark.parametrize("way", ["fused", "module", "method", "einsum", "flat"])
def test_weights_in_the_graph_have_their_gradient(way: str) -> None:
    module, x = Own(way).eval(), torch.randn(1, 5, 8)
    with watched(module, 1, lambda layer, weights: weights, gradients=True) as found:
        answer = module(x)
    torch.testing.assert_close(answer, module(x), **EXACT)
    (captured,) = found
    (gradient,) = torch.autograd.grad(answer.sum(), captured.taken)
    value = module.qkv(x).view(1, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)[2]
    # the answer is Σ weights·value, so its gradient at weights[h, q, k] is Σ value[h, k]
    expected = value.sum(dim=-1)[:, :, None].expand_as(gradient)
    torch.testing.assert_close(gradient, expected.detach(), **EXACT)


@pytest.mark.parametrize("way", ["fused", "module", "method", "einsum", "flat"])
@pytest.mark.parametrize("silence", ["zero", "mean"])
def test_a_silenced_head_is_exactly_zero_or_its_mean(way: str, silence: Any) -> None:
    module, x = Own(way).eval(), torch.randn(1, 5, 8)
    with torch.no_grad():
        plain = module(x)
        with watched(module, 1, print, wanted=[], silenced={"Own": [1]}, silence=silence) as found:
            changed = module(x)
        after = module(x)
    assert found == []
    assert torch.equal(after, plain)
    if way == "einsum":  # it answers [example, query, head, width]
        changed, plain = changed.transpose(1, 2), plain.transpose(1, 2)
    heads, before = changed.reshape(2, 5, 4), plain.reshape(2, 5, 4)
    assert torch.equal(heads[0], before[0])
    expected = before[1].mean(dim=0) if silence == "mean" else torch.zeros(4)
    torch.testing.assert_close(heads[1], expected.expand(5, 4))


def test_a_row_that_sees_nothing_is_zero() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(3, 3, dtype=torch.bool).tril(-1)
            return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    module, x = Masked(), torch.randn(1, 2, 3, 4)
    (captured,) = all_maps(module, lambda: module(x))
    assert float(captured.taken[:, :, 0].abs().sum()) == 0.0
    torch.testing.assert_close(captured.taken[:, :, 1:].sum(dim=-1), torch.ones(1, 2, 2))


class Pooled(nn.Module):
    """An encoder that may leave padding out, and the mean over all places."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16) if norm else None)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        answer: Tensor = self.encoder(x, src_key_padding_mask=padding).mean(dim=1)
        return answer


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("kept", [(7, 4), (7, 7), (3, 5)])
@pytest.mark.parametrize("known", [False, True])
def test_an_encoder_that_leaves_padding_out_answers_as_it_does_alone(
    norm: bool, kept: tuple[int, int], known: bool
) -> None:
    torch.manual_seed(0)
    model, x = Pooled(norm).eval(), torch.randn(2, 7, 16)
    padding = torch.arange(7)[None] >= torch.tensor(kept)[:, None]
    with torch.no_grad():
        plain = model(x, padding)
        with watched(model, 2, lambda layer, weights: weights) as found:
            answer = model(x, padding)
        if known:
            layers = [each.layer for each in found]
            with watched(model, 2, lambda layer, weights: weights, known=layers) as found:
                answer = model(x, padding)
        again = model(x, padding)
    torch.testing.assert_close(answer, plain, rtol=0, atol=1e-6)
    torch.testing.assert_close(again, plain, rtol=0, atol=0)
    assert len(found) == 2
    assert model.encoder.use_nested_tensor
    assert untouched(model)
    for each in found:
        for row, count in enumerate(kept):
            weights = each.taken[row, :, :count]
            torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
            assert not weights[..., count:].any()
