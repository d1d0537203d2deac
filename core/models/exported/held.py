"""Inputs of a network beside the one that is looked into: each is held at values of the card.

    "held": {"numbers": 0, "season": [0, 1, 0, 0]}

One number stands for all of an input, a list names them all in their order, for every example
alike. What is not named is held at 0, the mask of a text that is held at 1. Imports no torch.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from core.errors import BadModel, shortened
from core.models.exported.choice import Given, looked

_USUAL = 8  # of an axis of any length, where nothing says how long it is
_SHOWN = 6
_MOST = 1_000_000
_RANGES: Mapping[str, tuple[float, float]] = {
    "bool": (0, 1),
    "uint8": (0, 2**8 - 1),
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    "float16": (-65_504.0, 65_504.0),
    "bfloat16": (-3.38e38, 3.38e38),
    "float32": (-3.4e38, 3.4e38),
}
"""The least and the largest number of each kind; rounded towards 0 where it is no whole one."""
_NEXT = (
    'Say one number for all of it, or each: "held": {"numbers": 0} in a card, '
    "--hold numbers=0,1 on the command line."
)


def laid_out(given: Given, beside: Given) -> dict[str, Any]:
    """How an input is held where the one ``beside`` it is looked into: the ``shape`` of one
    example's, None for an axis of any length; the ``usual`` length of each, 0 for that of the same
    axis of the other; and whether it is ``batched``, one for each example.
    """
    least, most = given["least"], given["most"]
    batched = bool(least) and (
        least[0] != most[0] or least[0] == beside["least"][0] == beside["most"][0]
    )
    shape: list[int | None] = []
    usual = []
    for axis in range(int(batched), len(least)):
        free = least[axis] != most[axis]
        theirs = axis < len(beside["least"]) and beside["least"][axis] != beside["most"][axis]
        shape.append(None if free else least[axis])
        some = max(least[axis], min(_USUAL, most[axis] or _USUAL)) if free else least[axis]
        usual.append(0 if free and theirs else some)
    return {"shape": shape, "usual": usual, "batched": batched, "dtype": given["dtype"]}


def values(said: Any) -> float | list[float]:
    """One number, or all of a list of lists in one. Raises ``BadModel`` for anything else."""
    if _is_number(said):
        number: float = said
        return number
    if isinstance(said, list):
        try:
            found = list(islice(_flat(said), _MOST + 1))
        except RecursionError:
            raise BadModel("An input is held at lists in lists, too deep.", _NEXT) from None
        if len(found) <= _MOST:
            return found
        raise BadModel(
            f"An input is held at more than {_MOST:,} numbers.",
            "Fix that input in the network, and export it again.",
        )
    raise BadModel(f"An input is held at {shortened(repr(said), 60)}, no numbers.", _NEXT)


def _flat(said: Any) -> Iterator[float]:
    if isinstance(said, list):
        for each in said:
            yield from _flat(each)
    elif _is_number(said):
        yield said
    else:
        raise BadModel(f"An input is held at {shortened(repr(said), 60)}, no number.", _NEXT)


def _next(name: str) -> str:
    return _NEXT.replace("numbers", shortened(name, 60))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # of whole ones, too


def settled(said: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Every input that is held with its value, 0 where nothing is said.

    Raises ``BadModel`` for a name that none of them has, and for values of another number or kind.
    """
    known: Mapping[str, Any] = found.get("held", {})
    for name in said:
        if name == found["inputs"][0]["name"]:
            raise BadModel(
                f"'{shortened(name, 60)}' is the input that is looked into, and so not held.",
                "To look into another, say which: --look-into NAME, core.pack(…, look_into=NAME).",
            )
        if name not in known:
            names = ", ".join(known) or "none, it takes one input"
            raise BadModel(
                f"The card holds '{shortened(name, 60)}', which is no further input of the "
                f"network. Those that are held: {names}.",
                _next(next(iter(known), "numbers")),
            )
    made = {}
    for name, about in known.items():
        value = said.get(name, about.get("unsaid", 0))
        numbers = value if isinstance(value, list) else [value]
        if about.get("written") and isinstance(value, list):
            raise BadModel(
                f"An output begins with one token, and '{name}' is held at {len(numbers):,}.",
                _next(name),
            )
        fixed = [each for each in about["shape"] if each is not None]
        free = len(about["shape"]) - len(fixed)
        count = math.prod(fixed)
        fits = len(numbers) == count if not free else len(numbers) % max(1, count) == 0
        if isinstance(value, list) and (not fits or free > 1 or not numbers):
            raise BadModel(
                f"'{name}' is held at {len(numbers):,} numbers, and takes {counted(about)}.",
                _next(name),
            )
        whole = not about["dtype"].startswith(("float", "bfloat"))
        if whole and any(each != int(each) for each in numbers):
            raise BadModel(f"'{name}' takes whole numbers, and is held at others.", _next(name))
        least, most = _RANGES.get(about["dtype"], (-math.inf, math.inf))
        if rows := about.get("rows"):
            least, most = 0, rows - 1
        if wrong := [each for each in numbers if not least <= each <= most]:
            raise BadModel(
                f"'{name}' takes {about['dtype']} from {least:g} to {most:g}, and is held at "
                f"{wrong[0]:g}.",
                _next(name),
            )
        made[name] = value
    return made


def counted(about: Mapping[str, Any]) -> str:
    """How many values an input has."""
    shape = about["shape"]
    if None in shape:
        return "any number of values"
    text = " × ".join(str(each) for each in shape)
    return f"{text} values" if math.prod(shape) != 1 else "one value"


def shown(value: Any) -> str:
    """A value as a person reads it."""
    numbers = value if isinstance(value, list) else [value]
    text = ", ".join(f"{each:g}" for each in numbers[:_SHOWN])
    return text if len(numbers) <= _SHOWN else f"{text}, … ({len(numbers):,} numbers)"


def sentence(found: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """What is looked into and what is held at what; empty for a network of one input."""
    known: Mapping[str, Any] = found.get("held", {})
    if not known:
        return ""
    parts = []
    for name, about in known.items():
        value = shown(said.get(name, about.get("unsaid", 0)))
        begins = f"'{name}' takes what was written so far, which begins with token {value}"
        kept = f"'{name}' ({counted(about)}) is held at {value}"
        parts.append(begins if about.get("written") else kept)
    free = looked(found)
    names = " and ".join(f"'{each}'" for each in free)
    verb = "is" if len(free) == 1 else "are"
    return (
        f"This network has {len(free) + len(known)} inputs. {names} {verb} looked into; "
        f"{', '.join(parts)}."
    )


def written(found: Mapping[str, Any]) -> str:
    """The input that takes what was written so far; empty for networks that do not write so."""
    known: Mapping[str, Any] = found.get("held", {})
    return next((name for name, about in known.items() if about.get("written")), "")


def arguments(found: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What a module is told of its further inputs, by name; empty where it has none."""
    known: Mapping[str, Any] = found.get("held", {})
    return {
        name: {**about, "value": said.get(name, about.get("unsaid", 0))}
        for name, about in known.items()
    }
