"""Typed parameters, declared once: controls, command-line flags and validation come from them.

A ``Parameter`` is a value: it imports nothing heavy, can be printed, and knows how to turn what a
person typed into a checked Python value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from core.errors import BadParameter, UnknownName, shortened

Value = bool | int | float | str
Kind = Literal["int", "float", "bool", "choice", "layer"]


@dataclass(frozen=True)
class Parameter:
    """One declared parameter of a method.

    ``kind`` is ``int``, ``float``, ``bool``, ``choice`` (one of ``choices``) or ``layer`` (a module
    path as in ``named_modules()``; ``"auto"`` lets the model decide). ``minimum`` and ``maximum``
    are inclusive. ``advanced`` parameters stand under "More" on the page.
    """

    name: str
    kind: Kind
    default: Value
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    label: str = ""
    unit: str = ""
    advanced: bool = False

    @property
    def title(self) -> str:
        """What a person reads: the label, or the name in words (``n_steps`` is Steps)."""
        return self.label or self.name.removeprefix("n_").replace("_", " ").capitalize()

    def parse(self, raw: object) -> Value:
        """Turn what was typed or sent into a checked value.

        Raises ``BadParameter`` with the expectation when ``raw`` does not fit.
        """
        try:
            value = self._convert(raw)
        except (TypeError, ValueError):
            raise BadParameter(
                f"Parameter '{self.name}' is {shortened(repr(raw), 60)}, expected "
                f"{self.expectation}.",
                f"Leave it out to use {self.default!r}.",
            ) from None
        self._check(value, raw)
        return value

    @property
    def expectation(self) -> str:
        """What is accepted, in words: ``a whole number from 1 to 1000``."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "bool":
            return "true or false"
        if self.kind == "layer":
            return "the name of a layer, or auto"
        noun = "a whole number" if self.kind == "int" else "a number"
        if self.minimum is not None and self.maximum is not None:
            return f"{noun} from {self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"{noun} of at least {self.minimum:g}"
        return noun

    def _convert(self, raw: object) -> Value:
        if self.kind in ("choice", "layer"):
            return str(raw)
        if self.kind == "bool":
            words = {"true": True, "yes": True, "1": True, "on": True}
            words |= {"false": False, "no": False, "0": False, "off": False}
            if isinstance(raw, bool):
                return raw
            if str(raw).lower() not in words:
                raise ValueError
            return words[str(raw).lower()]
        if isinstance(raw, bool):
            raise TypeError
        number = float(str(raw))
        if self.kind == "float":
            return number
        if not math.isfinite(number) or number != int(number):
            raise ValueError
        return int(number)

    def _check(self, value: Value, raw: object) -> None:
        wrong = self.kind == "choice" and value not in self.choices
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = self.minimum is not None and value < self.minimum
            high = self.maximum is not None and value > self.maximum
            wrong = low or high or not math.isfinite(value)
        if wrong:
            raise BadParameter(
                f"Parameter '{self.name}' is {shortened(repr(raw), 60)}, expected "
                f"{self.expectation}.",
                f"Leave it out to use {self.default!r}.",
            )


def checked(
    declared: Iterable[Parameter], given: Mapping[str, object], owner: str
) -> dict[str, Value]:
    """Every declared parameter with its checked value or its default, in declared order.

    Raises ``UnknownName`` for a name that ``owner`` does not declare, ``BadParameter`` for a value
    that does not fit.
    """
    by_name = {parameter.name: parameter for parameter in declared}
    for name in given:
        if name not in by_name:
            if not by_name:
                raise UnknownName(f"There is no parameter '{name}': {owner} takes none.")
            raise UnknownName.of(f"parameter of {owner}", name, by_name)
    return {
        name: parameter.parse(given[name]) if name in given else parameter.default
        for name, parameter in by_name.items()
    }
