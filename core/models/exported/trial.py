"""The first run of an exported program: what it answers, and how it can be called."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import BadModel
from core.models.exported import choice, held, writing
from core.models.exported.clean import Found, Given
from core.models.exported.description import Description
from core.models.exported.module import ExportedModule, program

_EXPORT = "Call model.eval() and export it again with torch.export.export(model, inputs)."
_FEW = (1, 3)
_LENGTH = 8
_VOCABULARY = 2
_PATIENCE = 30.0  # seconds for inputs that are tried besides the usual one
_LENGTHS = (64, 512, 1024)


def tried(found: Found, path: Path) -> dict[str, Any]:
    """Rebuild and run the clean file; everything in ``found`` and what was seen, as JSON knows it.

    ``filled``, ``widths``, ``batch``, ``output`` and ``held`` are the arguments of
    ``ExportedModule``; the input that is looked into is the first of ``inputs``, and ``ways`` say
    the same of each other that can be (``core.models.exported.choice``);
    ``answer`` is the shape of its output for one example. Raises ``BadModel`` for a program that
    cannot be run, answers with no numbers, or has weights that are NaN.
    """
    if not found.inputs:
        raise BadModel("The program takes no tensor.", _EXPORT)
    whole = program(path)
    for name, tensor in whole.state_dict.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BadModel(
                f"The weights {name} hold NaN or infinite values.",
                "Train again from a checkpoint before they appeared, and export that.",
            )
    said = Description.read(found.card)
    usual = _way(found, path, whole, said.look_into, said.held)
    del whole  # each of the others is rebuilt for itself
    return {**asdict(found), **usual, "ways": _ways(found, path, usual, said.held)}


def _ways(
    found: Found, path: Path, usual: Mapping[str, Any], named: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What was seen with each of the inputs looked into, where there are several that can be."""
    made, until = [], time.monotonic() + _PATIENCE
    kept = {*_filled(found.inputs), held.written(usual)}
    free = [each for each in asdict(found)["inputs"] if each["name"] not in kept]
    wanted = choice.choices(free)
    if choice.looked(usual) not in wanted:
        wanted.insert(0, choice.looked(usual))
    for names in wanted if len(wanted) > 1 else ():
        rest = {name: value for name, value in named.items() if name not in names}
        way: Mapping[str, Any] = {"looked": names}
        try:
            if names == choice.looked(usual):
                way = usual
            elif time.monotonic() > until:
                raise BadModel("there was no time to try it, the network is slow.", _EXPORT)
            else:
                way = _way(found, path, program(path), names, rest)
            order = [each["name"] for each in way["inputs"]]
            seen = {name: each for name, each in way.items() if name not in ("inputs", "layers")}
            made.append({**seen, "looked": list(names), "order": order})
        except BadModel as error:
            made.append({"looked": list(names), "refused": error.message})
        except MemoryError:
            made.append({"looked": list(names), "refused": "it needs more memory."})
    return made


def _way(
    found: Found,
    path: Path,
    whole: Any,
    wanted: Sequence[str],
    named: Mapping[str, Any],
    writes: bool = True,
) -> dict[str, Any]:
    """How the program is called, and what it answers, where the ``wanted`` inputs are looked into,
    or those that usually are, and others are held as they are ``named``; whether it ``writes`` is
    seen by its answer.
    """
    filled = _filled(found.inputs, {**named, **dict.fromkeys(wanted)})
    every = asdict(found)["inputs"]
    asked = [each for each in every if each["name"] not in filled]
    written = choice.written(asked, wanted) if writes else ""
    if isinstance(named.get(written), list):  # no start of an output
        written = ""
    free, others = choice.chosen(
        [each for each in asked if each["name"] != written],
        {name: value for name, value in named.items() if name != written},
        wanted,
    )
    others += [each for each in asked if each["name"] == written]
    names = [each["name"] for each in free]
    masks = {}
    if not _is_text(next(each for each in found.inputs if each.name in names)):
        masks, filled = filled, {}  # a text that is held has none for each of its tokens
        others = [each for each in every if each["name"] not in names]
    left = [each for each in found.inputs if each.name in names]
    about: dict[str, Any] = {
        "inputs": sorted(every, key=lambda each: each["name"] not in names),
        "held": {each["name"]: held.laid_out(each, free[0]) for each in others},
    }
    if written:
        about["held"][written]["written"] = True
    for name, kind in masks.items():
        about["held"][name]["unsaid"] = int(kind == "ones")
    values = held.arguments(about, named)
    rows = all(_is_float(each) and len(each.least) == 2 for each in left)
    widths = [each.least[1] for each in left] if rows and len(left) > 1 else []
    fixed = left[0].least[0] if left[0].most and left[0].least[0] == left[0].most[0] else 0
    usual = fixed or max(2, left[0].least[0])
    module = ExportedModule(whole, filled, widths, held=values)
    for name, each in about["held"].items():
        each["rows"] = module.rows(name)
    held.settled(named, about)
    given = _examples(left, usual)
    output, answers = _answers(module, given)
    module.usage.output = output
    if written and answers.ndim == 2:  # it only is called so
        return _way(found, path, program(path), wanted, named, False)
    if written:
        writing.tried(module, given, partial(_run, module))
    batch, freed = 0, 0
    if not _free(module, given, answers):
        batch = usual
        if fixed:
            other = ExportedModule(program(path), filled, widths, 0, output, fixed, values)
            if _free(other, given, answers):
                module, batch, freed = other, 0, fixed
    module.usage.batch = batch
    return {
        **about,
        "filled": filled,
        "widths": widths,
        "batch": batch,
        "output": output,
        "freed": freed,
        "answer": list(_run(module, given[:1]).shape[1:]),
        "steady": torch.equal(_run(module, given), answers),
        "layers": [[name, type(part).__name__] for name, part in module.named_modules() if name],
        "embedding": module.rows(left[0].name) if not _is_float(left[0]) else 0,
        "lengths": _lengths(module, left[0]),
    }


def _filled(inputs: Sequence[Given], named: Mapping[str, Any] | None = None) -> dict[str, str]:
    """How inputs beside a text are made, one value for each token, by what they are called; others
    have to be given. The ``named`` ones are held or looked into.
    """
    whole = [each for each in inputs if _is_text(each)]
    kinds = {each.name: _kind(each.name.lower()) for each in whole if each is not inputs[0]}
    if all(kinds.get(each.name) for each in whole):  # there is no text
        return {}
    return {name: kind for name, kind in kinds.items() if kind and name not in (named or {})}


def _kind(name: str) -> str:
    if "padding" in name:  # torch asks with it what is to be left out, transformers what is not
        return "zeros"
    known = (("mask", "ones"), ("position", "positions"), ("type", "zeros"))
    return next((kind for part, kind in known if part in name), "")


def _is_text(given: Given) -> bool:
    return len(given.least) == 2 and not _is_float(given)


def _is_float(given: Given) -> bool:
    return given.dtype.startswith(("float", "bfloat"))


def _examples(left: Sequence[Given], count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    made = []
    for each in left:
        shape = [count, *each.least[1:]]
        for axis in range(1, len(shape)):
            if each.most[axis] != each.least[axis]:  # free: of a usual length
                most = each.most[axis]
                shape[axis] = max(each.least[axis], min(_LENGTH, most or _LENGTH))
        if _is_float(each):
            made.append(torch.rand(shape, generator=generator))
        else:
            made.append(torch.randint(0, _VOCABULARY, shape, generator=generator))
    return torch.cat(made, dim=1) if len(made) > 1 else made[0]


def _run(module: ExportedModule, *given: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            answers: Tensor = module(*given)
            return answers
    except BadModel:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a stranger's program may break torch in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        if "allocate memory" in reason:
            raise MemoryError from None
        raise BadModel(f"The program cannot be run: {reason.rstrip('.')}.", _EXPORT) from error


def _answers(module: ExportedModule, given: Tensor) -> tuple[int, Tensor]:
    """Which output answers, and its answers: the first of numbers with an entry per example."""
    for place in range(module.outputs):
        module.usage.output = place
        answers = _run(module, given)
        if (
            isinstance(answers, Tensor)
            and answers.is_floating_point()
            and answers.ndim > 1
            and len(answers) == len(given)
        ):
            return place, answers
    raise BadModel(
        "The program answers with nothing that is one row of numbers per example.",
        "Export a module whose forward returns logits [example, class].",
    )


def _free(module: ExportedModule, given: Tensor, answers: Tensor) -> bool:
    """Whether other numbers of examples than the one it was exported with give the same answers."""
    for count in _FEW:
        index = torch.arange(count) % len(given)
        try:
            found = _run(module, given[index])
        except BadModel:
            return False
        if found.shape != answers[index].shape:
            return False
        if not torch.allclose(found, answers[index], rtol=1e-4, atol=1e-5, equal_nan=True):
            return False
    return True


def _lengths(module: ExportedModule, first: Given) -> list[int | None]:
    """The fewest and the most tokens that it takes; None where no bound was met.

    torch fixes the length where a recurrent layer was exported, though nothing depends on it: if it
    takes a shorter and a longer text, it is taken to be free.
    """
    if _is_float(first) or len(first.least) != 2:
        return [1, None]
    least, most = first.least[1], first.most[1]
    if least == most:
        if not (_takes(module, least + 3) and _takes(module, max(1, least - 2))):
            return [least, most]
        most = None
    fewest = next((each for each in (1, 2) if _takes(module, each)), least)
    if most is not None:
        return [fewest, most]
    good, bad = least, 0
    for length in _LENGTHS:
        if not _takes(module, length):
            bad = length
            break
        good = length
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _takes(module, middle) else (good, middle)
    return [fewest, good if bad else None]


def _takes(module: ExportedModule, length: int) -> bool:
    try:
        _run(module, torch.zeros(max(1, module.usage.batch), length, dtype=torch.int64))
    except BadModel:
        return False
    return True
