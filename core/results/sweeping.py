"""A sweep of compression in words and rows. Pages and commands say the same."""

from __future__ import annotations

from core.results.compression import Sweep


def finding(found: Sweep) -> str:
    """What a sweep shows, in a sentence."""
    reasons, worse = found.other_reasons, found.less_accurate
    lower = (
        f"It is less accurate from {found.setting} {found.values[worse]:g} on."
        if worse is not None
        else "Its accuracy is nowhere clearly lower."
    )
    if reasons is None:
        return f"The reasons do not break before the accuracy does. {lower}"
    return (
        f"From {found.setting} {found.values[reasons]:g} on the reasons are others while the "
        f"accuracy is the same: their median rank correlation is {found.spearman[reasons]:.2f}, "
        f"below 0.8, and the interval of the accuracy still holds the original's. {lower}"
    )


def rows(found: Sweep) -> list[dict[str, object]]:
    """One row for each value, as text."""
    several = zip(
        found.values, found.accuracy, found.agreement, found.spearman, found.overlap,
        found.bytes, found.nonzero, found.multiply_adds, strict=True,
    )  # fmt: skip
    return [
        {
            found.setting.capitalize(): f"{value:g}",
            "Accuracy" if found.labelled else "Same answer": f"{right[0]:.1%} ({right[1]:.1%}–"
            f"{right[2]:.1%})",
            "Another answer": f"{1 - same:.1%}",
            "Rank correlation": f"{rho:.3f}",
            "Same strongest tenth": f"{overlap:.3f}",
            "File": f"{size:.2f} ×",
            "Not zero": f"{nonzero:.2f} ×",
            "Multiply-adds": f"{work:.2f} ×",
        }
        for value, right, same, rho, overlap, size, nonzero, work in several
    ]
