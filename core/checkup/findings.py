"""What was measured, as findings in plain words with what to do about each."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from core.checkup.steps import FLAT, RANDOM
from core.checkup.trials import Trials
from core.checkup.wording import counted, listed, percent
from core.models.card import ModelCard
from core.models.exported import held
from core.models.exported.module import ExportedModule
from core.models.loaded import LoadedModel
from core.results.checkup import Finding

_ROUNDING = 1e-3  # of the largest output: what another order of adding up may change
_COARSE = 3e-2  # the same in half precision
_MANY = 16  # numbers that do not lie between 0 and 1 by chance
FREE = "dynamic_shapes=({0: torch.export.Dim('batch')},)"
_AGAIN = "Export it again after model.eval()."


def of_weights(module: nn.Module) -> Iterator[Finding]:
    """Whether weights are numbers, and of which precision."""
    named = [*module.named_parameters(), *module.named_buffers()]
    floats = [(name, each) for name, each in named if each.is_floating_point()]
    broken = [name for name, each in floats if not bool(torch.isfinite(each).all())]
    title = "Weights"
    if broken:
        yield Finding(
            "weights", title, "bad", f"NaN or infinite values are in {listed(broken)}.",
            "Train again from a checkpoint before they appeared.",
        )  # fmt: skip
    elif not named:
        yield Finding("weights", title, "note", "It has no weights of its own to look at.")
    else:
        yield Finding(
            "weights", title, "good", f"{counted(len(named), 'tensor')}, all of finite numbers."
        )
    kinds = sorted({str(each.dtype).removeprefix("torch.") for _, each in floats})
    low = [kind for kind in kinds if kind not in ("float32", "float64")]
    if low:
        yield Finding(
            "precision", "Precision", "note", f"Weights are stored as {listed(kinds)}.",
            "Gradients are coarse: for exact attributions use a copy in float32 (model.float()).",
        )  # fmt: skip
    elif "float64" in kinds:
        yield Finding(
            "precision", "Precision", "note", f"Weights are stored as {listed(kinds)}.",
            "model.float() takes half the memory, is faster, and runs on every device.",
        )  # fmt: skip
    elif kinds:
        whole = any(each.dtype in (torch.int8, torch.uint8) for _, each in named)
        words = "Weights are stored as float32" + ", some as whole numbers (int8)." * whole
        yield Finding("precision", "Precision", "good", words.rstrip(".") + ".")


def of_inputs(about: ModelCard) -> Iterator[Finding]:
    """What is held where a network has several inputs."""
    words = held.sentence(about.raw.get("found", {}), about.raw.get("held", {}))
    if words:
        yield Finding(
            "inputs", "Inputs", "note", words,
            "Look into another, or hold them at other values, on the page Your model, or with "
            "`fluoroscope add FILE --look-into NAME --hold NAME=VALUE`.",
        )  # fmt: skip


def of_trials(model: LoadedModel, module: nn.Module, found: Trials) -> Iterator[Finding]:
    """What the passes showed."""
    if found.failed:
        yield Finding(
            "forward", "One forward", "bad", f"It cannot be run: {found.failed}.",
            "Its forward must take one batch of inputs as the card describes and answer with "
            "logits [example, class].",
        )  # fmt: skip
        return
    yield from _outputs(model, found)
    yield from _steady(found)
    yield from _together(module, found)
    yield from _gradient(model, found)
    yield from _unused(module, found)


def _outputs(model: LoadedModel, found: Trials) -> Iterator[Finding]:
    names = found.batch.outputs[0]
    width = found.shape[1]
    if width == len(names):
        words = (
            f"It answers with {width:,} {'number' if width == 1 else 'numbers'}, one for each name."
        )
        yield Finding("outputs", "Outputs", "good", words)
    else:
        yield Finding(
            "outputs", "Outputs", "bad",
            f"It answers with {width:,} numbers, but {len(names):,} classes are named.",
            "Name the classes in the order of the outputs: `fluoroscope add FILE --classes …`.",
        )  # fmt: skip
    outputs = found.outputs
    if not bool(outputs.isfinite().all()):
        count = int((~outputs.isfinite().all(dim=1)).sum())
        yield Finding(
            "finite", "Finite answers", "bad",
            f"{count} of {len(outputs)} inputs are answered with NaN or infinite values.",
            "Look for a logarithm or a division by zero, or for weights that are NaN.",
        )  # fmt: skip
        return
    yield _reacts(found)
    yield from _scores(model, outputs)


def _reacts(found: Trials) -> Finding:
    spread = float((found.outputs - found.outputs[:1]).abs().max())
    title = "Answers differ"
    if spread > 1e-6 * max(found.scale, 1e-6) + found.apart:
        return Finding("reacts", title, "good", "Different inputs get different answers.")
    if found.apart > 0:
        return Finding(
            "reacts", title, "warning", "Inputs change the answer no more than chance does.",
            "Take the randomness out first.",
        )  # fmt: skip
    return Finding(
        "reacts", title, "bad", "Every input that was tried gets the same answer.",
        "Check that these are the trained weights, and that mean and standard deviation are those "
        "it was trained with.",
    )  # fmt: skip


def _scores(model: LoadedModel, outputs: Tensor) -> Iterator[Finding]:
    title = "Logits"
    low, high = float(outputs.min()), float(outputs.max())
    within = low >= -1e-6 and high <= 1 + 1e-6
    sums = outputs.sum(dim=1)
    one_by_one = bool(getattr(model.adapter, "independent", False))
    several = outputs.shape[1] > 1
    if model.adapter.unit != "logits":
        yield Finding("logits", title, "good", f"Scores are told as {model.adapter.unit}.")
    elif within and bool(((outputs == 0) | (outputs == 1)).all()):
        yield Finding(
            "logits", title, "bad", "Its outputs are only 0 and 1: a decision, not a score.",
            "Return what stands before argmax or the threshold.",
        )  # fmt: skip
    elif several and within and not one_by_one and bool((sums - 1).abs().max() < 1e-3):
        yield Finding(
            "logits", title, "warning",
            "Its outputs are probabilities already: positive, and they sum to 1.",
            "Return the logits, without softmax: shown probabilities are flattened otherwise, and "
            "gradients vanish where it is sure.",
        )  # fmt: skip
    elif within and high > low and (one_by_one or not several or outputs.numel() >= _MANY):
        yield Finding(
            "logits", title, "warning", "Its outputs lie between 0 and 1, as after a sigmoid.",
            "Return the logits, without the sigmoid.",
        )  # fmt: skip
    else:
        words = f"Outputs are scores from {low:.3g} to {high:.3g}, before any softmax."
        yield Finding("logits", title, "good", words)


def _steady(found: Trials) -> Iterator[Finding]:
    title = "Same answer twice"
    steps = found.steps
    chance = sorted(
        "bernoulli, as in dropout" if name == "bernoulli" else name
        for name in steps.operators
        if name in RANDOM
    )
    if found.apart > tolerance(found):
        cause = f" ({listed(chance)})" if chance else ""
        yield Finding(
            "steady", title, "bad",
            f"The same input gets another answer the second time{cause}, although it is in "
            "evaluation mode.",
            "Use nn.Dropout or F.dropout(x, p, self.training), take out random numbers, and "
            f"call model.eval(). {_AGAIN}",
        )  # fmt: skip
    else:
        yield Finding("steady", title, "good", "In evaluation mode the answer stays the same.")
    if steps.learns:
        yield Finding(
            "norms", "Batch normalisation", "bad",
            "It normalises with the mean of the batch, as in training, not with what it learned.",
            f"Call model.eval(), and keep track_running_stats=True. {_AGAIN}",
        )  # fmt: skip
    if found.changed:
        yield Finding(
            "memory", "No memory of before", "warning",
            f"A forward writes to {listed(found.changed)}: answers depend on earlier ones.",
            f"Keep such state out of the evaluation mode. {_AGAIN}",
        )  # fmt: skip


def _together(module: nn.Module, found: Trials) -> Iterator[Finding]:
    title = "Examples together"
    fixed = module.usage.batch if isinstance(module, ExportedModule) else 0
    if found.refused:
        count, why = next(iter(found.refused.items()))
        yield Finding(
            "batch", title, "bad", f"{count} examples together are refused: {why}.",
            "Let the first dimension be free: no fixed number in view or reshape, and "
            f"{FREE} at the export.",
        )  # fmt: skip
    elif found.coupled > tolerance(found) and _by_range(found):
        yield Finding(
            "batch", title, "warning",
            "Numbers are rounded to the range of the whole batch (dynamic quantisation), so that "
            f"others beside an example change its answer by up to {found.coupled:.2g}.",
            "Compare answers of batches of one size only, or look into the original.",
        )  # fmt: skip
    elif found.coupled > tolerance(found) >= found.apart:
        yield Finding(
            "batch", title, "bad",
            f"An example is answered otherwise when others stand beside it, by up to "
            f"{found.coupled:.2g}.",
            "Normalise over single examples, or in evaluation mode; do not mix the first "
            "dimension.",
        )  # fmt: skip
    elif fixed:
        yield Finding(
            "batch", title, "note",
            f"It takes exactly {fixed} at a time; fewer are filled up, more run in parts.",
            f"It is faster, and its layers can be captured, with {FREE} at the export.",
        )  # fmt: skip
    elif found.apart <= tolerance(found):
        words = "Any number of examples together get the answers that they get alone."
        yield Finding("batch", title, "good", words)


def _by_range(found: Trials) -> bool:
    names = found.steps.operators
    return any("dynamic" in name or "choose_qparams" in name for name in names)


def _gradient(model: LoadedModel, found: Trials) -> Iterator[Finding]:
    title = "Gradient to the input"
    gradient = found.gradient
    ends = listed([name for name, _ in found.steps.ends.most_common(3)])
    advice = "Methods that only ask (occlusion, LIME, KernelSHAP) still work"
    if found.stopped:
        yield Finding(
            "gradient", title, "warning", f"The backward pass fails: {found.stopped}.",
            f"Replace operations in place by x = f(x). {advice}.",
        )  # fmt: skip
    elif model.card.raw.get("parameters", 0) is None:
        yield Finding(
            "gradient", title, "note", "It is asked row by row and has none.", f"{advice}."
        )
    elif gradient is None:
        where = f": it ends at {ends}" if ends else ""
        yield Finding(
            "gradient", title, "warning", f"No gradient reaches the input{where}.",
            f"Take out argmax, rounding, detach, no_grad or quantised layers. {advice}.",
        )  # fmt: skip
    elif not bool(gradient.isfinite().all()):
        yield Finding(
            "gradient", title, "bad", "The gradient holds NaN or infinite values.",
            "Add a small number inside square roots, logarithms and norms.",
        )  # fmt: skip
    elif not bool(gradient.ne(0).any()):
        flat = listed([name for name in found.steps.ends if name in FLAT])
        where = f" after {flat}" if flat else ""
        yield Finding(
            "gradient", title, "warning", f"The gradient is zero everywhere{where}.",
            f"Take out rounding and thresholds, or look for units that never answer. {advice}.",
        )  # fmt: skip
    else:
        share = float(gradient.ne(0).float().mean())
        where = (
            "everywhere" if share > 0.995 else f"at {percent(share)} of the numbers of the input"
        )
        words = f"It is there and finite, and not zero {where}."
        yield Finding("gradient", title, "good", words)


def _unused(module: nn.Module, found: Trials) -> Iterator[Finding]:
    every = dict(module.named_parameters())
    if not every:
        return
    unused = [name for name, each in every.items() if id(each) not in found.steps.read]
    numbers = sum(every[name].numel() for name in unused)
    share = numbers / max(1, sum(each.numel() for each in every.values()))
    title = "Parameters in use"
    if not unused:
        yield Finding("used", title, "good", "Every parameter takes part in a forward.")
        return
    yield Finding(
        "used", title, "warning" if share >= 0.25 else "note",
        f"{len(unused):,} of {len(every):,} tensors take no part in a forward ({percent(share)} of "
        f"the numbers): {listed(unused)}.",
        "Nothing to do if this part is not needed here; otherwise check the forward.",
    )  # fmt: skip


def tolerance(found: Trials) -> float:
    """What rounding may change in an output."""
    low = found.dtype in (torch.float16, torch.bfloat16)
    return (_COARSE if low else _ROUNDING) * found.scale + 1e-7
