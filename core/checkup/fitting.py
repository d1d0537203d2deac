"""What fits the model, as findings: layers, attention, methods, memory, preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from core.checkup.wording import counted, listed, sized
from core.models.loaded import LoadedModel
from core.results.architecture import Architecture
from core.results.attention import AttentionLayer
from core.results.checkup import Finding


def of_looks(
    layers: Sequence[str], left_out: Mapping[str, str], attention: Sequence[AttentionLayer]
) -> Iterator[Finding]:
    """Layers that can be captured, and where attention is."""
    if not layers:
        why = next(iter(left_out.values()), "it has none")
        yield Finding(
            "layers", "Layers", "warning", f"No layer can be captured: {why}.",
            "Build it of modules of torch.nn, and let the first dimension be free at an export; "
            "what only asks the model still works.",
        )  # fmt: skip
    elif left_out:
        reasons: dict[str, list[str]] = {}
        for name, why in left_out.items():
            reasons.setdefault(why, []).append(name)
        some = "; ".join(f"{listed(names, 2)} ({why})" for why, names in islice(reasons.items(), 3))
        yield Finding(
            "layers", "Layers", "note",
            f"{len(layers):,} can be captured; {len(left_out):,} cannot: {some}.",
            "Choose the layer around one that cannot be captured.",
        )  # fmt: skip
    else:
        yield Finding(
            "layers", "Layers", "good", f"{counted(len(layers), 'layer')}, and all can be captured."
        )
    if attention:
        heads = sum(each.heads for each in attention)
        words = f"In {counted(len(attention), 'layer')} with {counted(heads, 'head')}: "
        words += f"{listed([each.name for each in attention])}."
        yield Finding("attention", "Attention", "good", words)
    else:
        yield Finding(
            "attention", "Attention", "good", "There is none, so there are no maps of it."
        )


def of_methods(architecture: Architecture) -> Finding:
    """How many methods fit."""
    levels = [fit.level for fit in architecture.fits.values()]
    exact, near, refused = (levels.count(x) for x in ("exact", "approximate", "not valid"))
    words = f"{exact} methods fit exactly, {near} approximately, {refused} not."
    if not exact + near:
        return Finding(
            "methods", "Methods", "bad", f"None of {len(levels)} methods fits.",
            "See the reasons under 'Methods that fit'.",
        )  # fmt: skip
    if near + refused:
        advice = "Nothing: methods that do not fit are not offered, with the reason beside them."
        return Finding(
            "methods", "Methods", "good" if exact else "note", words, advice * (not exact)
        )
    return Finding("methods", "Methods", "good", words)


def of_memory(needed: int, one_pass: int, free: int) -> Finding:
    """The size on the device against what is free there."""
    title = "Memory"
    words = f"Weights take {sized(needed)}, one forward of one example makes {sized(one_pass)}"
    if not free:
        return Finding("size", title, "good", f"{words}.")
    words += f"; {sized(free)} are free."
    if one_pass > free:
        return Finding(
            "size", title, "warning", words,
            "Methods that need gradients may run out of memory: use a larger device.",
        )  # fmt: skip
    return Finding("size", title, "good", words)


def of_pixels(model: LoadedModel) -> Iterator[Finding]:
    """Whether somebody said how pictures are prepared."""
    wanted = model.card.preprocessing
    if wanted is None:
        return
    mean, std = (", ".join(f"{each:.3g}" for each in x) for x in (wanted.mean, wanted.std))
    size = f"{wanted.height} × {wanted.width} pixels"
    title = "Preprocessing"
    if not any(wanted.mean) and all(each == 1 for each in wanted.std):
        yield Finding(
            "pixels", title, "note", f"{size} go in from 0 to 1, neither centred nor scaled.",
            "Right if it was trained so; otherwise give the mean and std of its training.",
        )  # fmt: skip
    else:
        yield Finding("pixels", title, "good", f"{size}, less mean {mean}, divided by std {std}.")
