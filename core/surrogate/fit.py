"""The verb ``surrogate``: a tree that answers as the model does, and how often it does so."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.shelf import opened
from core.errors import BadInput
from core.evaluation.evaluate import provenance
from core.evaluation.metrics import share
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.parameters import checked
from core.progress import Meter, Quiet
from core.results.activations import Capture
from core.results.evaluation import Measure
from core.results.surrogate import Surrogate
from core.surrogate.declared import LEAST, PARAMETERS, basis, check
from core.surrogate.features import described
from core.surrogate.file import stored
from core.surrogate.tree import Grown, counts, grown
from core.tasks import Example

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_HELD_OUT = 1 / 3


def surrogate(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Surrogate:
    """A decision tree (scikit-learn's CART) fitted to the answers of a classifier to two thirds of
    the examples of the capture in the folder ``capture``, and tested on the rest: Craven & Shavlik
    1996, "Extracting tree-structured representations of trained networks". ``on`` says what it
    looks at, ``depth`` how deep it may be, ``min_leaf`` how many examples a leaf must have. With
    ``inputs`` the way of the first of them through the tree is told.

    Raises ``NotValid`` for a model without classes, ``BadInput`` for fewer than 20 examples and for
    a model that gives all of them one answer, ``BadParameter``, and as ``opened`` does.
    """
    started = time.perf_counter()
    check(model.ref.name, model.card.classes)
    names = [each.name for each in PARAMETERS]
    given = {name: parameters[name] for name in names if name in parameters}
    settings = checked(PARAMETERS, given, "surrogate")
    on = basis(str(parameters.get("on", "")), model.adapter.axis)
    found = opened(model.ref, parameters)
    answers = _answers(found)
    fitted, tested = _parted(answers, seed)
    one = tuple(inputs[:1])
    about = described(model, found, on, fitted, one, int(settings["grid"]), meter)
    meter.expect(1, "Fitting the tree")
    depth, fewest = int(settings["depth"]), int(settings["min_leaf"])
    made = grown(about.values, answers, fitted, depth, fewest, seed)
    meter.tick()
    nodes = made.tree.tree_
    held_out = counts(made.passed[tested], answers[tested], len(found.classes))
    answer = _said_by(made)
    path, values, said = np.empty(0, np.int64), np.empty(0), -1
    if one:
        path = np.flatnonzero(made.passed[-1])
        values = about.values[-1]
        said = predict(model, one, {}, seed, Quiet(meter))[0].top(1)[0]
    mask = np.zeros(len(answers), np.bool_)
    mask[tested] = True
    file, notes = stored(made.tree, about, found.classes)
    asked = {"on": on, "depth": depth, "min_leaf": fewest}
    asked |= {"grid": int(settings["grid"])} if on == "regions" else {}
    return Surrogate(
        found.model,
        found.data.name,
        on,
        tuple(found.classes),
        about.names,
        about.kinds,
        np.where(nodes.feature >= 0, nodes.feature, -1).astype(np.int64),
        np.where(nodes.feature >= 0, nodes.threshold, 0.0).astype(np.float64),
        nodes.children_left.astype(np.int64),
        nodes.children_right.astype(np.int64),
        _missing(nodes, about.values),
        counts(made.passed[fitted], answers[fitted], len(found.classes)),
        held_out,
        answer,
        _agreement(held_out, answer),
        _measures(found, answers, made.said[: len(answers)], tested),
        found.data_rows,
        made.leaf[: len(answers)],
        mask,
        one[0].name if one else "",
        path,
        values,
        int(said),
        file,
        (*_notes(found, answers), *notes),
        provenance(model, found, "surrogate", asked, seed, started),
    )


def _answers(found: Capture) -> Integers:
    """What the model answers to each captured example. Raises ``BadInput``."""
    if len(found) < LEAST:
        raise BadInput(
            f"'{found.data.name}' has {len(found)} examples, a tree needs at least {LEAST} to be "
            "fitted and tested apart.",
            "Choose data with more examples.",
        )
    answers = np.asarray(found.predictions, np.int64)
    if len(np.unique(answers)) == 1:
        raise BadInput(
            f"'{found.model}' answers '{found.classes[answers[0]]}' to all {len(found):,} examples "
            f"of '{found.data.name}': there is nothing to tell apart.",
            "Choose data to which it gives different answers.",
        )
    return answers


def _parted(answers: Integers, seed: int) -> tuple[Integers, Integers]:
    """Places to fit to and to test on: two thirds and one third of each answer."""
    from sklearn.model_selection import train_test_split

    seen = np.bincount(answers)
    few = seen[seen > 0].min() < 2 or round(_HELD_OUT * len(answers)) < (seen > 0).sum()
    fitted, tested = train_test_split(
        np.arange(len(answers)),
        test_size=_HELD_OUT,
        random_state=seed % 2**32,
        stratify=None if few else answers,
    )
    return np.sort(fitted), np.sort(tested)


def _said_by(made: Grown) -> Integers:
    """The class that each node says, by the fitted examples in it."""
    best = made.tree.tree_.value[:, 0, :].argmax(axis=1)
    said: Integers = np.asarray(made.tree.classes_, np.int64)[best]
    return said


def _missing(nodes: Any, values: Floats) -> Integers:
    gaps: npt.NDArray[np.bool_] = np.any(np.isnan(values), axis=0)
    some = gaps[nodes.feature] & (nodes.feature >= 0)
    return np.where(some, nodes.missing_go_to_left, -1).astype(np.int64)


def _agreement(held_out: Integers, answer: Integers) -> Floats:
    rows = []
    for counted, said in zip(held_out, answer, strict=True):
        same = np.zeros(int(counted.sum()), np.bool_)
        same[: int(counted[said])] = True
        rows.append(share(same))
    return np.array(rows, np.float64).reshape(-1, 3)


def _measures(
    found: Capture, answers: Integers, said: Integers, tested: Integers
) -> tuple[Measure, ...]:
    """Over the held-out examples, with Wilson intervals."""
    from sklearn.metrics import f1_score

    theirs, ours = answers[tested], said[tested]
    common = np.bincount(answers).argmax()
    kept = [
        _share("fidelity", "Fidelity", ours == theirs, "How often the tree answers as the model."),
        Measure(
            "fidelity_f1",
            "Fidelity, F1",
            float(f1_score(theirs, ours, average="macro")),
            about="The mean over classes, the model's answers taken for the truth.",
        ),
        _share(
            "commonest",
            "Without a tree",
            theirs == common,
            "How often the model gives its most frequent answer.",
        ),
    ]
    if found.labels is not None and (known := found.labels[tested] >= 0).any():
        truth = found.labels[tested][known]
        kept += [
            _share("tree_accuracy", "Tree is right", ours[known] == truth, "By the labels."),
            _share("model_accuracy", "Model is right", theirs[known] == truth, "By the labels."),
        ]
    return tuple(kept)


def _share(name: str, title: str, mask: npt.NDArray[np.bool_], about: str) -> Measure:
    value, low, high = share(mask)
    return Measure(name, title, float(value), float(low), float(high), about=about)


def _notes(found: Capture, answers: Integers) -> tuple[str, ...]:
    notes = []
    missing = [name for c, name in enumerate(found.classes) if not (answers == c).any()]
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        notes.append(f"The model never answers {shown}: the tree does not know of it.")
    if found.independent:
        notes.append("Several classes may be true at once; the likeliest is taken for the answer.")
    return tuple(notes)
