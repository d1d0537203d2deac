"""What a figure of many maps costs to build and to send: ``python -m tests.benchmarks.payload``.

The floor is Plotly's own encoding of the bare arrays; lower is better, 1.00 is nothing on top.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import plotly.graph_objects as go
from skimage.data import chelsea
from skimage.transform import resize

from core.provenance import Provenance
from core.results import Attribution, Fit
from core.tasks import PixelGrid, Target
from dashboard.figures.attribution import attribution_maps

MAPS, REPEATS = 12, 15


def milliseconds(run: Callable[[], Any]) -> float:
    """Median time of one run, after a first one that does not count."""
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1000 * median(times[1:])


def attributions(count: int, side: int) -> list[Attribution]:
    """Different maps of one photograph."""
    random = np.random.default_rng(0)
    picture = (resize(chelsea(), (side, side)) * 255).astype(np.uint8)
    made = Provenance("toy", "ab" * 32, ("cd" * 32,), "attribute", {}, 0, "cpu", 0.1)
    return [
        Attribution(
            method="integrated_gradients",
            example="chelsea.png",
            target=Target(0, "cat"),
            axis=PixelGrid(3, side, side),
            values=random.normal(size=(3, side, side)).astype(np.float32),
            score=3.0,
            fit=Fit("exact"),
            settings={"n_steps": 50},
            picture=picture,
            provenance=made,
            baseline_score=0.0,
            delta=0.01,
        )
        for _ in range(count)
    ]


def bare(results: list[Attribution]) -> str:
    """The summed maps as traces of an otherwise empty figure."""
    text: str = go.Figure([go.Heatmap(z=each.heatmap) for each in results]).to_json()
    return text


def whole(results: list[Attribution]) -> str:
    """The figure as it goes to the browser."""
    text: str = attribution_maps(results).to_json()
    return text


def main() -> None:
    """Print one line per size of picture."""
    print(f"{MAPS} maps       floor ms   figure ms   ratio   floor MB   figure MB")
    for side in (28, 224):
        results = attributions(MAPS, side)
        floor, figure = (
            milliseconds(lambda results=results: bare(results)),
            milliseconds(lambda results=results: whole(results)),
        )
        sizes = len(bare(results)) / 1e6, len(whole(results)) / 1e6
        print(
            f"{side:3d} × {side:<3d} {floor:12.1f} {figure:11.1f} {figure / floor:7.2f}"
            f" {sizes[0]:10.2f} {sizes[1]:11.2f}"
        )


if __name__ == "__main__":
    main()
