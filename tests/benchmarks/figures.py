"""What an export costs, warm: ``python tests/benchmarks/figures.py``.

Seconds per format, and for pictures the ratio to Kaleido's own server drawing the very same framed
figure at the same size, interleaved with ours; 1.00 is the floor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import kaleido
from test_export import prediction
from test_figures_attribution import attribution

from dashboard import export as exports
from dashboard.export import FORMATS, document, export
from dashboard.figures.attribution import attribution_maps

REPEATS = 10
PICTURES = ("png", "svg", "pdf")


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print one line for each format: seconds, ratio to Kaleido alone, kilobytes."""
    results = [
        attribution(method, shape=(3, 224, 224), seed=seed)
        for seed, method in enumerate(("saliency", "integrated_gradients", "occlusion"))
    ]
    figure = attribution_maps(results)
    told = document(results, prediction())
    framed = exports._framed(figure, results, figure.layout.width or exports._WIDTH)
    size = {"width": framed.layout.width, "height": framed.layout.height}

    cold = seconds(lambda: export(figure, results, "png", document=told))
    print(f"first picture, with the start of the browser: {cold:.2f} s")
    kaleido.start_sync_server(n=1, mathjax=False)
    kaleido.calc_fig_sync(framed, opts={"format": "png", **size})
    print(f"{'format':<12} {'seconds':>8} {'÷ Kaleido':>10} {'spread':>12} {'kB':>8}")
    for format_ in FORMATS:
        options = {"format": format_, "scale": 2 if format_ == "png" else 1, **size}
        calls = [partial(export, figure, results, format_, document=told)]
        if format_ in PICTURES:
            calls.append(partial(kaleido.calc_fig_sync, framed, opts=options))
        times: list[list[float]] = [[] for _ in calls]
        for repeat in range(REPEATS):
            order = list(range(len(calls)))
            for place in order if repeat % 2 else order[::-1]:
                times[place].append(seconds(calls[place]))
        ours = times[0]
        bare = times[1] if len(times) > 1 else []
        ratio = f"{median(ours) / median(bare):.2f}" if bare else "–"
        spread = f"{min(ours):.2f}–{max(ours):.2f}"
        kilobytes = len(export(figure, results, format_, document=told)) / 1000
        print(f"{format_:<12} {median(ours):>8.3f} {ratio:>10} {spread:>12} {kilobytes:>8,.0f}")


if __name__ == "__main__":
    main()
