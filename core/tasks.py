"""What a model is asked (task, example, target) and what an attribution divides (feature axes)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from core.errors import BadInput, UnknownName, shortened
from core.provenance import sha256

AxisKind = Literal["pixels", "tokens", "columns"]


class Task(StrEnum):
    """What kind of question a model answers; each has one adapter in ``core.models``."""

    IMAGE_CLASSIFICATION = "image-classification"
    TEXT_CLASSIFICATION = "text-classification"
    TABULAR_CLASSIFICATION = "tabular-classification"
    TRANSLATION = "translation"
    CAUSAL_LANGUAGE_MODEL = "causal-language-model"
    RECONSTRUCTION = "reconstruction"

    @property
    def axis(self) -> AxisKind:
        """What an input is divided into."""
        return _AXES[self]


_AXES: dict[Task, AxisKind] = {
    Task.IMAGE_CLASSIFICATION: "pixels",
    Task.RECONSTRUCTION: "pixels",
    Task.TABULAR_CLASSIFICATION: "columns",
    Task.TEXT_CLASSIFICATION: "tokens",
    Task.TRANSLATION: "tokens",
    Task.CAUSAL_LANGUAGE_MODEL: "tokens",
}


@dataclass(frozen=True)
class Example:
    """One raw input as a person gave it: the undecoded bytes of a file, and its name.

    The bytes are decoded only where computing happens, never in the dashboard's own process.
    ``outputs`` are texts to be explained in place of what a sequence model would produce; with two,
    the first is contrasted with the second. ``cut`` says where a text that is too long for the
    model is cut.
    """

    name: str
    data: bytes
    outputs: tuple[str, ...] = ()
    cut: Literal["start", "middle", "end"] = "end"

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput(f"'{self.name}' is empty (0 bytes).", "Choose another file.")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes, and of what else was asked for."""
        if not self.outputs and self.cut == "end":
            return sha256(self.data)
        return sha256("\0".join([sha256(self.data), self.cut, *self.outputs]).encode())


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


WHOLE_OUTPUT = "whole output"  # all that a sequence model says, as one output
OTHER_OUTPUT = "other output"  # what it is contrasted with


def ranked(classes: Sequence[str], logits: npt.NDArray[np.floating]) -> npt.NDArray[np.integer]:
    """Places of the outputs, the most likely first; what a sequence model says as a whole comes
    before its parts.
    """
    first = np.array([name == WHOLE_OUTPUT for name in classes], dtype=bool)
    return np.lexsort((np.arange(len(classes)), -logits, ~first))


_LONGEST = 1_000  # characters of a target
_TOP = re.compile(r"top(?:[:\s-]?(\d+))?", re.IGNORECASE)
_CONTRAST = re.compile(r"\s+(?:vs\.?|versus|-|−)\s+")


def parse_targets(
    spec: str | int, classes: Sequence[str], logits: npt.NDArray[np.floating]
) -> tuple[Target, ...]:
    """Targets named by ``spec`` for one example with ``logits [class]``.

    ``"top"`` is the predicted class (of a sequence model the whole output), ``"top3"`` the three
    most likely; a class is given by name (without regard to case) or by index; ``"cat vs dog"`` is
    the contrast of two, where ``top``, ``second`` and indices may stand for names too; ``"each"``
    is every class, or every token of an output, in its order.

    Raises ``UnknownName`` with the nearest class names.
    """
    text = str(spec).strip()
    if len(text) > _LONGEST:
        raise UnknownName(
            f"Target '{shortened(text, 60)}' has {len(text):,} characters.",
            "Expected the name or the number of a class, or two with 'vs' between them.",
        )
    order = ranked(classes, logits)
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
    if text.lower() == "each":
        single = [name for name in classes if name not in (WHOLE_OUTPUT, OTHER_OUTPUT)]
        return tuple(Target(classes.index(name), name) for name in single)
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

    kind: ClassVar[AxisKind] = "pixels"

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)``."""
        return (self.channels, self.height, self.width)


@dataclass(frozen=True)
class Tokens:
    """The feature axis of a text: values have shape ``[token]``.

    ``text`` is all that was read: the input and, for sequences, on lines of their own the output
    and the output it is contrasted with. ``pieces`` are the tokens as people should see them;
    ``spans`` the characters of ``text`` that each covers, half open, ``(n, n)`` for a token that is
    not in the text, such as ``[CLS]``. ``words`` and ``sentences`` number what the token is part
    of, from 0 and rising; a special token is a word of its own. ``parts`` is 0 for the input, 1 for
    the output, 2 for the other output.
    """

    kind: ClassVar[AxisKind] = "tokens"

    text: str
    pieces: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    words: tuple[int, ...]
    sentences: tuple[int, ...]
    special: tuple[bool, ...]
    parts: tuple[int, ...]

    def __post_init__(self) -> None:
        count = len(self.pieces)
        each = (self.spans, self.words, self.sentences, self.special, self.parts)
        if any(len(one) != count for one in each):
            raise ValueError(f"{count} pieces, but {[len(one) for one in each]} of the others")
        for numbers in (self.words, self.sentences):
            if numbers and (
                numbers[0] != 0 or any(b - a not in (0, 1) for a, b in pairwise(numbers))
            ):
                raise ValueError(f"numbers do not rise from 0 by 1: {numbers}")

    @property
    def shape(self) -> tuple[int]:
        """``(tokens,)``."""
        return (len(self.pieces),)


@dataclass(frozen=True)
class Columns:
    """The feature axis of a row of a table: values have shape ``[column]``.

    ``names`` are the columns that the model reads, ``values`` what the row has in each, as people
    write it.
    """

    kind: ClassVar[AxisKind] = "columns"

    names: tuple[str, ...]
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.values):
            raise ValueError(f"{len(self.names)} columns, but {len(self.values)} values")

    @property
    def shape(self) -> tuple[int]:
        """``(columns,)``."""
        return (len(self.names),)


FeatureAxis = PixelGrid | Tokens | Columns
