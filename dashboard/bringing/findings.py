"""What was found in a file, in plain words: for the page and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.models.card import ModelCard
from core.models.exported import held

_SHOWN = 8  # names of classes


def rows(found: Mapping[str, Any], about: ModelCard | None = None) -> list[dict[str, str]]:
    """Pairs of what was looked at and what was found."""
    pairs: list[tuple[str, str]] = []
    if about is not None:
        more = " …" if len(about.classes) > _SHOWN else ""
        pairs += [
            ("task", about.task.value),
            ("classes", ", ".join(about.classes[:_SHOWN]) + more),
        ]
        if about.preprocessing is not None:
            wanted = about.preprocessing
            mean, std = (", ".join(f"{v:g}" for v in each) for each in (wanted.mean, wanted.std))
            sides = f"{wanted.height} × {wanted.width}"
            pairs.append(("pictures", f"{sides}, mean {mean}, std {std}, {wanted.fit}"))
    values = {} if about is None else about.raw.get("held", {})
    pairs.append(("several inputs", held.sentence(found, values)))
    pairs += [(f"input {each['name']}", shape(each)) for each in found["inputs"]]
    pairs += [
        ("filled in", ", ".join(f"{k} with {v}" for k, v in found["filled"].items())),
        ("parameters", f"{found['parameters']:,}"),
        ("layers", f"{len(found['layers']):,}"),
        ("operators", f"{sum(found['operators'].values()):,}" if found["operators"] else ""),
        ("examples at once", _batch(found)),
        ("tokens at once", _lengths(found)),
        ("same answer twice", "yes" if found["steady"] else "no: something in it is random"),
        (
            "exported with eval()",
            _mode(found),
        ),
        ("left behind", ", ".join(_plain(found["left_out"]))),
    ]
    return [{"": name, "found": text} for name, text in pairs if text]


def _mode(found: Mapping[str, Any]) -> str:
    """Of programs only: weights have no mode."""
    if not found["operators"]:
        return ""
    return "no: call model.eval() before the export" if found["training"] else "yes"


def shape(given: Mapping[str, Any]) -> str:
    """The type and shape of an input, with ``any`` for an axis of any length."""
    sizes = [
        str(least) if least == most else "any"
        for least, most in zip(given["least"], given["most"], strict=True)
    ]
    return f"{given['dtype']} [{', '.join(sizes)}]"


def _batch(found: Mapping[str, Any]) -> str:
    if found["batch"]:
        return f"{found['batch']}, as it was exported; more are run in parts"
    freed = f", though it was exported with {found['freed']}" if found["freed"] else ""
    return f"any number{freed}"


def _lengths(found: Mapping[str, Any]) -> str:
    if found["inputs"][0]["dtype"].startswith(("float", "bfloat")):
        return ""
    fewest, most = found["lengths"]
    return f"{fewest} to {most:,}" if most is not None else f"{fewest} or more"


def _plain(names: list[str]) -> list[str]:
    """Parts that were not taken over; the sample inputs, which every file has, by that name."""
    known = {"data/sample_inputs/model.pt": "sample inputs (a pickle)"}
    return [known.get(each, each) for each in names]
