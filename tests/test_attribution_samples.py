"""What every method promises, kept on the trained sample models."""

from __future__ import annotations

from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_attribution_contract import state

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.registry import METHODS, method
from core.errors import Cancelled, NotValid
from core.models.catalogue import reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.progress import Meter, Progress
from core.results import Attribution
from core.tasks import Example

EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"
PICTURES = {
    "digits_cnn": "digit-7.png",
    "fashion_cnn": "fashion-coat.png",
    "fashion_vit": "fashion-coat.png",
}
QUICK = {"n_samples": 4, "n_steps": 50, "n_baselines": 2, "n_segments": 12}
# How far the sum may miss the gain, relative to the larger of the gain and one logit. Rules and
# permutations add up exactly in real numbers, so only rounding is left; KernelSHAP meets the sum as
# a heavily weighted equation of its regression; 50 points of Gauss-Legendre miss by the kinks of
# the network on the way (Sundararajan et al. 2017 ask for 5 %).
ADDS_UP = {
    "deeplift": 1e-4,
    "deeplift_shap": 1e-4,
    "shapley_value_sampling": 1e-4,
    "kernel_shap": 2e-2,
    "integrated_gradients": 5e-2,
}
# Passes that the cost counts to the last one; segments may be fewer than asked for.
COUNTED = [
    each.name for each in METHODS if not any(p.name == "n_segments" for p in each.parameters)
]


@cache
def model(name: str) -> LoadedModel:
    loaded = load(reference(name), "cpu")
    describe(loaded)
    return loaded


def run(network: str, name: str, meter: Meter | None = None) -> Attribution:
    picture = PICTURES[network]
    settings = {p.name: QUICK[p.name] for p in method(name).parameters if p.name in QUICK}
    if name == "lime":
        settings["n_samples"] = 40  # with fewer its regression finds nothing
    example = Example(picture, (EXAMPLES / picture).read_bytes())
    parameters = {"method": name, "settings": settings}
    (found,) = attribute(model(network), [example], parameters, 3, meter or Meter())
    return found


@pytest.mark.parametrize("network", PICTURES)
@pytest.mark.parametrize("name", [each.name for each in METHODS])
def test_a_method_keeps_its_promises_or_is_refused(name: str, network: str) -> None:
    loaded = model(network)
    fit = describe(loaded).fits[name]
    if not fit.usable:
        with pytest.raises(NotValid) as caught:
            run(network, name)
        assert fit.reason in str(caught.value)
        return
    before = state(loaded._module)
    found = run(network, name)
    assert found.fit == fit
    assert found.values.dtype == np.float32
    assert found.values.shape == (1, 28, 28)
    assert np.isfinite(found.values).all()
    assert np.ptp(found.values) > 0
    np.testing.assert_array_equal(run(network, name).values, found.values)
    asked = count()
    run(network, name, Meter(cancelled=lambda: next(asked) < 0))
    times = next(asked)
    for stop in {0, times // 2, times - 1}:
        asked = count()
        with pytest.raises(Cancelled):
            run(network, name, Meter(cancelled=lambda asked=asked, stop=stop: next(asked) >= stop))
        assert state(loaded._module) == before
    np.testing.assert_array_equal(run(network, name).values, found.values)
    assert state(loaded._module) == before
    if name in ADDS_UP:
        assert found.delta is not None
        assert found.baseline_score is not None
        gain = found.score - found.baseline_score
        assert abs(found.delta) <= ADDS_UP[name] * max(1.0, abs(gain))


@pytest.mark.parametrize("network", PICTURES)
def test_progress_ends_at_its_total(network: str) -> None:
    usable = [name for name in COUNTED if describe(model(network)).fits[name].usable]
    assert len(usable) >= 10
    for name in usable:
        seen: list[Progress] = []
        run(network, name, Meter(seen.append))
        assert seen[-1].done == seen[0].total, name
        assert seen[-1].fraction == 1, name


@pytest.mark.parametrize("network", ["digits_cnn", "fashion_vit"])
def test_explained_pixels_matter(network: str) -> None:
    """The tenth of the pixels that occlusion ranks highest holds the score up more than the tenth
    it ranks lowest.
    """
    found = run(network, "occlusion")
    loaded = model(network)
    picture = PICTURES[network]
    example = Example(picture, (EXAMPLES / picture).read_bytes())
    features = loaded.adapter.encode([example], loaded).features
    order = np.argsort(found.values[0], axis=None)
    scores: dict[str, Any] = {}
    for which, pixels in (("low", order[:78]), ("high", order[-78:])):
        covered = features.clone()
        covered.view(-1)[pixels.copy()] = 0
        with loaded.exclusive() as module:
            scores[which] = float(module(covered)[0, found.target.index].detach())
    assert scores["high"] < scores["low"] - 1
