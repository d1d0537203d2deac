"""A tree as a file that scikit-learn opens without running anything in it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib import util
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np

from core.surrogate.features import Described


def stored(tree: Any, about: Described, classes: Sequence[str]) -> tuple[bytes, tuple[str, ...]]:
    """The tree with its names of classes and features as skops stores it, after the step that reads
    texts where there is one; nothing, and a note, where skops is not installed.

    To be opened with ``skops.io.load(path, trusted=["sklearn.tree._tree.Tree"])``: skops asks for
    trust in a tree's nodes, which scikit-learn follows unchecked. It predicts names of classes from
    a table of the features in their order, or from texts.
    """
    if util.find_spec("skops") is None:
        return b"", ("There is no file for scikit-learn: install `fluoroscope[sklearn]`.",)
    from sklearn.pipeline import make_pipeline
    from skops.io import dumps

    named = copy.deepcopy(tree)
    named.classes_ = np.array([classes[place] for place in tree.classes_])
    if about.reader is None:
        named.feature_names_in_ = np.array(about.names, dtype=object)
    else:
        named = make_pipeline(about.reader, named)
    return bytes(dumps(named, compression=ZIP_DEFLATED)), ()
