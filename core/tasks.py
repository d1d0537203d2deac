"""What a model is asked (task, example, target) and what an attribution divides (feature axes)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from core.errors import BadInput, UnknownName, shortened
from core.provenance import sha256


class Task(StrEnum):
    """What kind of question a model answers; each has one adapter in ``core.models``."""

    IMAGE_CLASSIFICATION = "image-classification"
    TEXT_CLASSIFICATION = "text-classification"
    TABULAR_CLASSIFICATION = "tabular-classification"
    TRANSLATION = "translation"
    RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True)
class Example:
    """One raw input as a person gave it: the undecoded bytes of a file, and its name.

    The bytes are decoded only where computing happens, never in the dashboard's own process.
    """

    name: str
    data: bytes

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput(f"'{self.name}' is empty (0 bytes).", "Choose another file.")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes."""
        return sha256(self.data)


@dataclass(frozen=True)
class Target:
    """The output explained: one class, or the difference of two (contrast).

    ``score = logit[index]`` or, with ``versus``, ``logit[index] - logit[versus]``.
    """

    index: int
    label: str
    versus: int | None = None
    versus_label: str = ""

    @property
    def title(self) -> str:
        """``tabby`` or ``tabby − tiger cat``."""
        return self.label if self.versus is None else f"{self.label} − {self.versus_label}"

    @property
    def parts(self) -> tuple[tuple[int, Target], ...]:
        """The single classes in it, each with its sign: 1, and -1 for the class spoken against."""
        single = (1, Target(self.index, self.label))
        if self.versus is None:
            return (single,)
        return (single, (-1, Target(self.versus, self.versus_label)))


_LONGEST = 1_000  # characters of a target
_TOP = re.compile(r"top(?:[:\s-]?(\d+))?", re.IGNORECASE)
_CONTRAST = re.compile(r"\s+(?:vs\.?|versus|-|−)\s+")


def parse_targets(
    spec: str | int, classes: Sequence[str], logits: npt.NDArray[np.floating]
) -> tuple[Target, ...]:
    """Targets named by ``spec`` for one example with ``logits [class]``.

    ``"top"`` is the predicted class, ``"top3"`` the three most likely; a class is given by name
    (without regard to case) or by index; ``"cat vs dog"`` is the contrast of two, where ``top``,
    ``second`` and indices may stand for names too.

    Raises ``UnknownName`` with the nearest class names.
    """
    text = str(spec).strip()
    if len(text) > _LONGEST:
        raise UnknownName(
            f"Target '{shortened(text, 60)}' has {len(text):,} characters.",
            "Expected the name or the number of a class, or two with 'vs' between them.",
        )
    order = np.argsort(-logits, kind="stable")
    if match := _TOP.fullmatch(text):
        count = int(match[1] or 1)
        if not 1 <= count <= len(classes):
            raise UnknownName(
                f"Target '{text}' asks for {count} classes, the model has {len(classes)}.",
                "Ask for at least 1 and at most that many.",
            )
        return tuple(Target(int(index), classes[index]) for index in order[:count])
    whole = _class_index(text, classes, order)
    if whole is not None:
        return (Target(whole, classes[whole]),)
    sides = _CONTRAST.split(text, maxsplit=1)
    if len(sides) == 2:
        indices = [_class_index(side.strip(), classes, order) for side in sides]
        for side, index in zip(sides, indices, strict=True):
            if index is None:
                raise UnknownName.of("class", side.strip(), classes)
        first, second = (index for index in indices if index is not None)
        if first == second:
            raise UnknownName(
                f"Target '{text}' contrasts a class with itself.", "Name two different classes."
            )
        return (Target(first, classes[first], second, classes[second]),)
    raise UnknownName.of("class", text, classes)


def _class_index(text: str, classes: Sequence[str], order: npt.NDArray[np.integer]) -> int | None:
    lowered = text.lower()
    names = [name.lower() for name in classes]
    if lowered in names:
        return names.index(lowered)
    if lowered == "top":
        return int(order[0])
    if lowered == "second" and len(order) > 1:
        return int(order[1])
    index = lowered.removeprefix("#")
    if index.isdecimal() and int(index) < len(classes):
        return int(index)
    return None


@dataclass(frozen=True)
class PixelGrid:
    """The feature axis of an image: values have shape ``[channel, row, column]``."""

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)``."""
        return (self.channels, self.height, self.width)


FeatureAxis = PixelGrid
