"""``exclusive()`` gives the module back exactly as it was, whatever happens inside."""

import random
import threading

import numpy as np
import pytest
import torch
from torch import nn

from core.models.catalogue import card
from core.models.loaded import LoadedModel, twin
from core.models.loader import adapter
from core.models.reference import ModelRef


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
    )


def loaded(module: nn.Module) -> LoadedModel:
    about = card("digits_cnn")
    return LoadedModel(
        ModelRef("toy", "0"), about, adapter(about, module), torch.device("cpu"), module
    )


def snapshot(module: nn.Module) -> list[object]:
    state: list[object] = [part.training for part in module.modules()]
    state += [len(part._forward_hooks) + len(part._backward_hooks) for part in module.modules()]
    state += [sorted(part.__dict__) for part in module.modules()]
    state += [p.requires_grad for p in module.parameters()]
    state += [None if p.grad is None else p.grad.clone().tolist() for p in module.parameters()]
    state += [tensor.tolist() for tensor in module.state_dict().values()]
    state += [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]
    return state


class Boom(Exception):
    pass


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_as_before(fails: bool) -> None:
    module = network().train()
    module[0].weight.grad = torch.ones_like(module[0].weight)
    module[4].weight.requires_grad_(False)
    kept = []
    module[2].register_forward_hook(lambda *_: kept.append(1))
    before = snapshot(module)
    model = loaded(module)
    try:
        with model.exclusive(seed=3) as inside:
            assert not any(part.training for part in inside.modules())
            assert not any(p.requires_grad for p in inside.parameters())
            inside[0].register_forward_hook(lambda *_: None)
            inside[1].register_forward_pre_hook(lambda *_: None)
            inside[4].register_full_backward_hook(lambda *_: None)
            inside[2].saved_input = torch.ones(1)
            inside[0].weight.grad = None
            x = torch.randn(2, 4, requires_grad=True)
            inside(x).sum().backward()
            random.random()
            np.random.random()
            if fails:
                raise Boom
    except Boom:
        assert fails
    assert snapshot(module) == before
    assert kept == [1]  # the owner's own hook stayed and fired


def test_seed_decides_what_is_drawn() -> None:
    model = loaded(network())
    drawn = []
    for seed in (1, 1, 2):
        with model.exclusive(seed):
            drawn.append((torch.rand(1).item(), np.random.random(), random.random()))
    assert drawn[0] == drawn[1] != drawn[2]


def test_nested_use_gets_a_twin_without_the_outer_hooks() -> None:
    model = loaded(network())
    fired = []
    x = torch.ones(2, 4)
    with model.exclusive(seed=1) as outer:
        outer[0].register_forward_hook(lambda *_: fired.append("outer"))
        first = torch.rand(1).item()
        state = torch.get_rng_state()
        with model.exclusive(seed=2) as inner:
            assert inner is not outer
            assert inner[0].weight.data_ptr() == outer[0].weight.data_ptr()
            answer = inner(x)
        assert fired == []
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(outer(x), answer)
        assert fired == ["outer"]
        assert first != torch.rand(1).item()


def test_twin_shares_memory_but_not_flags() -> None:
    module = network()
    double = twin(module)
    assert [p.data_ptr() for p in double.parameters()] == [
        p.data_ptr() for p in module.parameters()
    ]
    assert [b.data_ptr() for b in double.buffers()] == [b.data_ptr() for b in module.buffers()]
    assert all(p.requires_grad for p in module.parameters())


def test_one_thread_at_a_time() -> None:
    model = loaded(network())
    inside, together = [], []

    def work() -> None:
        for _ in range(20):
            with model.exclusive():
                inside.append(1)
                together.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert together == [1] * 160
