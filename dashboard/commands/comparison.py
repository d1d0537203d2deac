"""What ``fluoroscope compare`` prints: tables, or all of it as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.results import AttributionContrast, Comparison, CrossSimilarity, WrittenContrast

NAMED = 10  # examples


def print_comparison(
    whole: Comparison,
    apart: list[dict[str, Any]],
    reasons: AttributionContrast | None,
    layers: CrossSimilarity | None,
    as_json: bool,
) -> None:
    """Agreement, measures, classes and the examples ``apart``, then test and reasons."""
    measures = [
        {
            "measure": each.first.name,
            "first": _rounded(each.first.value),
            "second": _rounded(each.second.value),
            "difference": _rounded(each.difference[0]),
            "low": _rounded(each.difference[1]),
            "high": _rounded(each.difference[2]),
            "good": each.first.good,
        }
        for each in whole.measures
    ]
    classes = [
        {
            "class": name,
            "first F1": _rounded(whole.f1[place, 0]),
            "second F1": _rounded(whole.f1[place, 1]),
            "difference": _rounded(whole.f1_difference[place, 0]),
            "low": _rounded(whole.f1_difference[place, 1]),
            "high": _rounded(whole.f1_difference[place, 2]),
            "examples": int(whole.support[place]),
        }
        for place, name in enumerate(whole.classes)
        if whole.support[place]
    ]
    agreement = [
        {
            "": title,
            "value": _rounded(values[0]),
            "low": _rounded(values[1]),
            "high": _rounded(values[2]),
        }
        for title, values in (("agreement", whole.agreement), ("kappa", whole.kappa))
    ]
    if as_json:
        cka = {} if layers is None else _same(layers)
        print(
            json.dumps(
                {
                    "first": whole.model,
                    "second": whole.other,
                    "data": whole.data,
                    "examples": whole.examples,
                    "labelled": whole.labelled,
                    "agreement": _interval(whole.agreement),
                    "kappa": _interval(whole.kappa),
                    "divergence": round(whole.apart, 6),
                    "mcnemar": None if whole.test is None else vars(whole.test),
                    "measures": measures,
                    "classes": classes,
                    "most apart": apart,
                    "reasons": None if reasons is None else _alike(reasons),
                    "layers": cka,
                },
                indent=2,
            )
        )
        return
    for table in (agreement, measures, classes, apart):
        if table:
            show(table, False)
            print()
    if whole.test is not None:
        test = whole.test
        print(
            f"right: both {test.both:,}, only the first {test.first:,}, only the second "
            f"{test.second:,}, neither {test.neither:,}; McNemar's exact p = {test.p:.3g}"
        )
    if reasons is not None:
        told = _alike(reasons)
        print(
            f"reasons for {told['target']} on {told['example']} by {told['method']}: "
            + (
                f"rank correlation {told['spearman']}, {told['overlap']:.0%} of the strongest same"
                if reasons.difference is not None
                else reasons.why
            )
        )


def examples(found: Comparison, ids: list[str]) -> list[dict[str, Any]]:
    """A row for each of the examples on which they are most apart, which are called ``ids``."""
    return [
        {
            "most apart": name,
            "true": found.classes[found.labels[place]] if found.labels[place] >= 0 else None,
            "first says": found.classes[found.said[place, 0]],
            "at": _rounded(found.chances[place, 0]),
            "second says": found.classes[found.said[place, 1]],
            "at ": _rounded(found.chances[place, 1]),
            "bits apart": _rounded(found.divergence[place]),
        }
        for place, name in enumerate(ids)
    ]


def _alike(found: AttributionContrast) -> dict[str, Any]:
    return {
        "example": found.first.example,
        "method": found.first.method,
        "target": found.first.target.title,
        "spearman": _rounded(found.spearman),
        "overlap": _rounded(found.overlap),
        "why": found.why,
    }


def _same(layers: CrossSimilarity) -> dict[str, float | None]:
    """Linear CKA of layers of the same name."""
    return {
        name: _rounded(layers.similarity[row, layers.columns.index(name)])
        for row, name in enumerate(layers.rows)
        if name in layers.columns
    }


def print_written(found: WrittenContrast, as_json: bool) -> None:
    """Measures of both, and the texts on which they differ most."""
    measures = [
        {
            "measure": one.name,
            "first": _rounded(one.value),
            "second": _rounded(other.value),
            "good": one.good,
        }
        for one, other in zip(found.first.measures, found.second.measures, strict=True)
    ]
    texts = [
        {
            "expected": found.expected[place],
            "first": _rounded(found.loss[place, 0]),
            "second": _rounded(found.loss[place, 1]),
            "first says": found.said[0][place] if found.said[0] else None,
            "second says": found.said[1][place] if found.said[1] else None,
        }
        for place in range(min(NAMED, len(found.rows)))
    ]
    if as_json:
        print(
            json.dumps(
                {
                    "first": found.first.model,
                    "second": found.second.model,
                    "measures": measures,
                    "nats per token": {**_interval(found.difference), "wilcoxon p": found.p},
                    "most apart": texts,
                },
                indent=2,
            )
        )
        return
    show(measures, False)
    print()
    show(texts, False, () if found.said[0] else ("first says", "second says"))
    gap = found.difference
    print(
        f"\nnats per token, first less second: {gap[0]:+.4f}, 95 % interval {gap[1]:+.4f} to "
        f"{gap[2]:+.4f}; Wilcoxon's p = {found.p:.3g}"
    )


def _interval(values: Any) -> dict[str, float | None]:
    names = ("value", "low", "high")
    return {name: _rounded(each) for name, each in zip(names, values, strict=True)}


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
