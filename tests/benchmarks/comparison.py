"""What comparing costs: ``python -m tests.benchmarks.comparison``.

Two classifiers compared, with 300 draws of a paired bootstrap, beside evaluating both, in turns;
and an example explained in both with the difference beside explaining it in both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from core.activations.capture import capture
from core.attribution.compute import attribute
from core.comparison.compare import compare
from core.comparison.reasons import contrasted
from core.data.dataset import dataset
from core.evaluation.evaluate import evaluate
from core.models.catalogue import card, reference
from core.models.loader import load
from core.progress import Meter

ROUNDS = 7
PAIRS = (("digits_cnn", "run:digits_cnn@1"), ("fashion_cnn", "fashion_vit"))


def taken(way: Callable[[], object]) -> float:
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun


def beside(first: str, second: str, root: Path) -> None:
    data = dataset(card(first))
    models = [load(reference(name)) for name in (first, second)]
    folders = [
        str(capture(model, data, root / f"{first}-{place}").folder)
        for place, model in enumerate(models)
    ]
    both = {"capture": folders[0], "other": folders[1]}

    def evaluated() -> None:
        for model, folder in zip(models, folders, strict=True):
            evaluate(model, (), {"capture": folder}, 0, Meter())

    def explained() -> list[object]:
        asked = {"method": "integrated_gradients", "target": "#0", "settings": {}}
        return [attribute(each, (data[0],), asked, 0, Meter())[0] for each in models]

    ways = {
        "answers and metrics": (lambda: compare(models[0], (), both, 0, Meter()), evaluated),
        "reasons": (lambda: contrasted(*explained()), explained),  # type: ignore[arg-type]
    }
    for title, (ours, peer) in ways.items():
        ours(), peer()
        pairs = [(taken(ours), taken(peer)) for _ in range(ROUNDS)]
        mine, theirs = (median(pair[place] for pair in pairs) for place in (0, 1))
        ratio = median(one / other for one, other in pairs)
        print(
            f"{first} beside {second}, {title}: {mine * 1e3:.0f} ms, both alone "
            f"{theirs * 1e3:.0f} ms, {ratio:.2f} ×"
        )


def main() -> None:
    with TemporaryDirectory() as root:
        for first, second in PAIRS:
            beside(first, second, Path(root))


if __name__ == "__main__":
    main()
