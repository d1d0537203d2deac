"""What maps cost: ``python -m tests.benchmarks.projection``.

Each figure beside umap-learn or the floor in the same run; below 1 is faster. The first map is made
in fresh processes, where umap-learn compiles.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

REPEATS = 3
_MADE = """
import json, sys, time
import numpy as np
from sklearn.datasets import make_blobs
values, labels = make_blobs(2000, 64, centers=12, cluster_std=14.0, random_state=0)
values = values.astype(np.float32)
begun = time.perf_counter()
"""
_OURS = (
    _MADE
    + """
from core.projection.compute import projected
from core.projection.space import Vectors
vectors = Vectors(values, tuple(map(str, range(2000))), "made", "0" * 64)
points = projected(vectors, "umap", settings={"engine": "fluoroscope"}, judged=False).points
"""
)
_PEER = (
    _MADE
    + """
import warnings
warnings.simplefilter("ignore")
from umap import UMAP
points = UMAP(random_state=0, n_jobs=1).fit_transform(values)
"""
)
_JUDGED = """
seconds = time.perf_counter() - begun
from sklearn.manifold import trustworthiness
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
near = cross_val_score(KNeighborsClassifier(15), points, labels, cv=5).mean()
print(json.dumps([seconds, near, float(trustworthiness(values, points, n_neighbors=15))]))
"""


def fresh(script: str, workspace: str) -> list[float]:
    """Seconds, accuracy of neighbours and trustworthiness of a map made in a process of its own."""
    made = subprocess.run(
        [sys.executable, "-c", script + _JUDGED],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "FLUOROSCOPE_WORKSPACE": workspace},
    )
    found: list[float] = json.loads(made.stdout.strip().splitlines()[-1])
    return found


def seconds(run: Callable[[], Any]) -> float:
    """Median time of a run."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return median(times)


def first_maps() -> None:
    """A first UMAP of 2,000 points in a fresh process."""
    ours, peers = [], []
    for _ in range(REPEATS):
        with TemporaryDirectory() as folder:
            ours.append(fresh(_OURS, folder))
            peers.append(fresh(_PEER, folder))
    (mine, near, true), (theirs, near_there, true_there) = (
        [median(column) for column in zip(*each, strict=True)] for each in (ours, peers)
    )
    print(f"first UMAP of 2,000 points  {mine:6.2f} s, umap-learn {theirs:6.2f} s")
    print(f"  ratio {mine / theirs:.2f} (aim 0.30)")
    print(f"  kNN accuracy {near:.4f} against {near_there:.4f} (aim: within 0.01)")
    print(f"  trustworthiness {true:.4f} against {true_there:.4f} (aim: within 0.005)")


def later_maps() -> None:
    """Only the layout changed, and principal components beside a bare decomposition."""
    from sklearn.datasets import make_blobs

    from core.projection.compute import projected
    from core.projection.neighbours import forget
    from core.projection.space import Vectors

    values, _ = make_blobs(2000, 64, centers=12, cluster_std=14.0, random_state=0)

    def vectors(shift: float) -> Vectors:
        moved = (values + shift * np.eye(2000, 64)).astype(np.float32)
        return Vectors(moved, tuple(map(str, range(2000))), "made", "0" * 64)

    def made(shift: float, least: float) -> None:
        projected(vectors(shift), "umap", settings={"min_dist": least}, judged=False)

    shifts = iter(range(1, 100))
    made(0, 0.1)
    refit = seconds(lambda: made(next(shifts), 0.1))
    distances = iter(np.linspace(0.2, 0.9, 20).tolist())
    change = seconds(lambda: made(0, next(distances)))
    print(f"only min_dist changed  {change:.2f} s, refit {refit:.2f} s")
    print(f"  ratio {change / refit:.2f} (aim 0.15)")
    wide: npt.NDArray[np.float32] = (
        np.random.default_rng(0).normal(size=(2000, 512)).astype(np.float32)
    )
    known = Vectors(wide, tuple(map(str, range(2000))), "made", "1" * 64)
    ours = seconds(lambda: projected(known, "pca", judged=False))
    floor = seconds(lambda: np.linalg.svd(wide - wide.mean(axis=0), full_matrices=False))
    print(f"PCA of 2,000 x 512  {1e3 * ours:.0f} ms, ratio to numpy's SVD {ours / floor:.2f}")
    judged = seconds(lambda: projected(known, "pca"))
    print(f"  and how far it can be trusted {1e3 * (judged - ours):.0f} ms more")
    forget()


def main() -> None:
    """Print the table."""
    first_maps()
    with TemporaryDirectory() as folder:
        os.environ["FLUOROSCOPE_WORKSPACE"] = folder
        later_maps()


if __name__ == "__main__":
    main()
