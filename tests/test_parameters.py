"""Declared parameters accept what fits and refuse the rest with the expectation."""

import pytest

from core.errors import BadParameter, UnknownName
from core.parameters import Parameter, checked

STEPS = Parameter("n_steps", "int", 50, "Steps.", minimum=1, maximum=1000)
STDEV = Parameter("stdevs", "float", 0.1, "Noise.", minimum=0)
KIND = Parameter("baseline", "choice", "zero", "Reference.", choices=("zero", "blur"))
FLAG = Parameter("flag", "bool", False, "Flag.")
LAYER = Parameter("layer", "layer", "auto", "Layer.")
ALL = (STEPS, STDEV, KIND, FLAG, LAYER)


@pytest.mark.parametrize(
    ("parameter", "raw", "value"),
    [
        (STEPS, "20", 20),
        (STEPS, 20.0, 20),
        (STDEV, "0.5", 0.5),
        (KIND, "blur", "blur"),
        (FLAG, "yes", True),
        (FLAG, False, False),
        (LAYER, "conv2", "conv2"),
    ],
)
def test_value_that_fits(parameter: Parameter, raw: object, value: object) -> None:
    parsed = parameter.parse(raw)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("parameter", "raw", "expectation"),
    [
        (STEPS, "0", "whole number from 1 to 1000"),
        (STEPS, "1001", "whole number from 1 to 1000"),
        (STEPS, "2.5", "whole number"),
        (STEPS, "many", "whole number"),
        (STEPS, True, "whole number"),
        (STEPS, "inf", "whole number"),
        (STDEV, "-1", "at least 0"),
        (STDEV, "nan", "a number"),
        (KIND, "grey", "one of zero, blur"),
        (FLAG, "maybe", "true or false"),
        (STEPS, None, "whole number"),
    ],
)
def test_value_that_does_not_fit(parameter: Parameter, raw: object, expectation: str) -> None:
    with pytest.raises(BadParameter, match=expectation):
        parameter.parse(raw)


def test_missing_ones_get_their_defaults_in_declared_order() -> None:
    assert checked(ALL, {"stdevs": "0.3"}, "smoothgrad") == {
        "n_steps": 50,
        "stdevs": 0.3,
        "baseline": "zero",
        "flag": False,
        "layer": "auto",
    }


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="n_steps"):
        checked(ALL, {"num_stepz": 3, "n_step": 3}, "smoothgrad")
    with pytest.raises(UnknownName, match="takes none"):
        checked((), {"n_steps": 3}, "saliency")
