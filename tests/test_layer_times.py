"""Where a forward spends its time: every layer once, none left hooked."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest

from core.activations import timing
from core.activations.timing import layer_times
from core.errors import Cancelled
from core.models.catalogue import reference
from core.models.loader import load
from core.progress import Meter


def test_every_call_of_a_layer_is_counted_and_no_hook_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that goes one second on whenever it is read, a call takes one second."""
    model = load(reference("digits_cnn"), "cpu")
    readings = count()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    found = layer_times(model, (), {}, 0, Meter())
    assert {"conv1", "conv2", "dense2"} <= set(found.layers)
    assert found.seconds.tolist() == [1] * len(found.layers)
    assert found.forward == 1
    with model.exclusive() as module:
        assert not any(each._forward_hooks for each in module.modules())


def test_cancel_leaves_no_hook() -> None:
    model = load(reference("digits_cnn"), "cpu")
    asked = iter([False] * 20 + [True] * 100)
    with pytest.raises(Cancelled):
        layer_times(model, (), {}, 0, Meter(cancelled=lambda: next(asked)))
    with model.exclusive() as module:
        assert not any(each._forward_hooks for each in module.modules())
