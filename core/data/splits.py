"""Which examples are for learning and which are held out: seeded, each class in proportion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core.errors import BadInput

Positions = npt.NDArray[np.int64]

HELD_OUT: Final[Mapping[str, float]] = {"val": 0.1, "test": 0.1}
_NAMES: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_name(text: str) -> str | None:
    """``train``, ``val`` or ``test`` where ``text`` is one of their common spellings, else None."""
    return _NAMES.get(text.strip().lower())


def split(
    labels: npt.ArrayLike | None,
    count: int,
    seed: int,
    held_out: Mapping[str, float] = HELD_OUT,
) -> dict[str, Positions]:
    """Positions of ``count`` examples in ``train`` and in each part of ``held_out`` (name → share).

    The parts share no example and have exactly their share (rounded, at least one example); within
    each class the share is kept up to one example, and every class keeps at least one example in
    ``train``. The positions are sorted; the same labels and seed give the same parts.

    Raises ``BadInput`` when there are too few examples.
    """
    classes = np.zeros(count, np.int64)
    if labels is not None:
        classes = np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1)
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(count)
    ordered = shuffled[np.argsort(classes[shuffled], kind="stable")]
    starts = np.flatnonzero(np.diff(classes[ordered], prepend=-1))
    kept, free = ordered[starts], np.delete(ordered, starts)  # one of each class stays in train
    parts: dict[str, Positions] = {}
    for name, share in held_out.items():
        size = max(1, round(share * count))
        if size > len(free):
            raise BadInput(
                f"{count} examples of {len(kept)} classes are too few to hold some out for "
                f"{' and '.join(held_out)}.",
                "Add examples, at least three of each class.",
            )
        taken = _evenly(len(free), size, generator.random())
        parts[name] = np.sort(free[taken])
        free = np.delete(free, taken)
    return {"train": np.sort(np.concatenate([kept, free])), **parts}


def sample(labels: npt.ArrayLike, size: int, seed: int) -> Positions:
    """Sorted positions of ``size`` examples, each class in proportion and with at least one.

    Raises ``BadInput`` when ``size`` is less than the number of classes.
    """
    values = np.asarray(labels)
    if size >= len(values):
        return np.arange(len(values))
    classes = len(np.unique(values))
    if size < classes:
        raise BadInput(
            f"{size} examples cannot have one of each of {classes} classes.",
            f"Take at least {classes}.",
        )
    return split(values, len(values), seed, {"rest": 1 - size / len(values)})["train"]


def named_splits(values: Sequence[str], where: str) -> dict[str, Positions]:
    """Positions by the part that a ``split`` column names for each example.

    Raises ``BadInput`` for a value that names no part, and when nothing is left to train on.
    """
    spelt = np.asarray([str(value) for value in values])
    unique, which = np.unique(spelt, return_inverse=True)
    names = [split_name(str(text)) for text in unique]
    unknown = [str(text) for text, name in zip(unique, names, strict=True) if name is None]
    if unknown:
        raise BadInput(
            f"{where} says {listed(unknown)}, expected train, val or test.",
            "Correct the column, or rename it to have the parts drawn at random.",
        )
    parts = {
        part: np.flatnonzero(np.isin(which, [i for i, name in enumerate(names) if name == part]))
        for part in ("train", "val", "test")
    }
    if not len(parts["train"]):
        raise BadInput(f"{where} leaves no example for train.", "Mark some examples as train.")
    return {part: positions for part, positions in parts.items() if len(positions)}


def with_validation(
    parts: Mapping[str, Positions], labels: npt.ArrayLike | None, seed: int
) -> dict[str, Positions]:
    """The same parts; where there is no ``val``, a tenth of ``train`` is held out for it."""
    if "val" in parts:
        return dict(parts)
    train = parts["train"]
    chosen = None if labels is None else np.asarray(labels)[train]
    drawn = split(chosen, len(train), seed, {"val": HELD_OUT["val"]})
    rest = {name: positions for name, positions in parts.items() if name != "train"}
    return {"train": train[drawn["train"]], "val": train[drawn["val"]], **rest}


def check_labels(labels_of: Mapping[str, Iterable[Any]], where: str) -> tuple[str, ...]:
    """The classes that ``train`` has, in natural order (``2`` before ``10``).

    Raises ``BadInput`` when there is only one class, or when another part has labels that ``train``
    does not have.
    """
    found = {part: {str(label) for label in labels} for part, labels in labels_of.items()}
    classes = found["train"]
    for part, labels in found.items():
        unseen = labels - classes
        if unseen:
            raise BadInput(
                f"{where}: the label{'s' * (len(unseen) > 1)} {listed(sorted(unseen))} "
                f"occur{'s' * (len(unseen) == 1)} in {part} and not in train.",
                "What was never seen in training cannot be recognised: add examples to train, or "
                f"remove them from {part}.",
            )
    if len(classes) < 2:
        raise BadInput(
            f"{where} has only one class ({listed(sorted(classes))}), at least two are needed.",
            "Add examples of another class.",
        )
    return tuple(sorted(classes, key=natural))


def natural(text: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A key that sorts numbers within words by their value: ``img2`` before ``img10``."""
    parts = (part for part in re.split(r"([0-9]+)", text) if part)
    return tuple((0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts), text


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 picture``, ``2,000 pictures``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in quotes, the first ``most`` of them."""
    shown = ", ".join(f"'{name[:60]}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _evenly(count: int, size: int, offset: float) -> Positions:
    """``size`` of ``count`` positions, evenly spaced, the first moved by 0 <= ``offset`` < 1."""
    positions: Positions = np.floor((np.arange(size) + offset) * (count / size)).astype(np.int64)
    return positions
