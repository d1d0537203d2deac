"""The worker with a real model: urgent work between the passes of a hooked call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engine_verbs import Gate

from core.data.gallery import examples_for
from core.engine.call import Call
from core.engine.inline import InlineExecutor
from core.engine.process import ProcessExecutor
from core.engine.verbs import VERBS, Verbs
from core.models.catalogue import reference

WITH_HOOKED = Verbs(
    {**VERBS.functions, "hooked": "engine_torch_verbs:hooked"}, VERBS.loader, VERBS.prepare
)


def test_a_prediction_inside_a_hooked_call_disturbs_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    model = reference("digits_cnn")
    example = examples_for("digits_cnn")[0].example()
    predict = Call("predict", model, (example,), urgent=True)
    with Gate() as gate, ProcessExecutor("cpu", verbs=WITH_HOOKED) as executor:
        executor.warm(model)
        long = executor.submit(Call("hooked", model, (example,), {"gate": gate.port}, seed=7))
        worker = gate.arrived()
        inside = executor.submit(predict).result(60)
        assert long.state == "running"
        gate.open()
        through = long.result(60)
        after = executor.submit(Call("predict", model, (example,), seed=1)).result(60)
        assert executor.pid == worker
    inline = InlineExecutor("cpu", verbs=WITH_HOOKED)
    alone = inline.submit(predict).result()
    np.testing.assert_allclose(inside[0].logits, alone[0].logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(inside[0].logits, after[0].logits)
    hooked = inline.submit(Call("hooked", model, (example,), seed=7)).result()
    np.testing.assert_allclose(through, hooked, rtol=1e-4, atol=1e-4)
    assert np.ptp(hooked, axis=0).max() > 1e-2  # the noise is there, another in every pass
