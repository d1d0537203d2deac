"""Sweeps and slices: the trade-off derived a second way, and who pays for it."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from core.comparison.compare import mcnemar
from core.compression.drift import compression_drift
from core.compression.harm import paired_change
from core.compression.methods import swept
from core.compression.sweep import compression_sweep
from core.errors import BadParameter, NotValid
from core.models.catalogue import reference
from core.models.loader import load
from core.progress import Meter, Progress
from core.provenance import Provenance
from core.results import Sweep
from core.results.sweeping import finding
from dashboard.commands.sweeping import values_of
from dashboard.figures.tradeoff import harms, tradeoff
from tests.test_capture_command import run
from tests.test_compression import made

AMOUNTS = {"setting": "amount", "limit": 60, "reasons": 12}


def sweep_of(name: str, method: str, values: list[float], **more: Any) -> Sweep:
    asked = {**AMOUNTS, "steps": [{"method": method}], "values": values, **more}
    return compression_sweep(load(reference(name), "cpu"), (), asked, 0, Meter())


def test_a_point_of_a_sweep_is_what_compressing_so_much_gives(tmp_path: Path) -> None:
    ticks: list[Progress] = []
    asked = {**AMOUNTS, "steps": [{"method": "channels", "scope": "layer"}], "values": [0.4, 0.0]}
    model = load(reference("tabular_mlp"), "cpu")
    found = compression_sweep(model, (), asked, 0, Meter(notify=ticks.append))
    assert found.values.tolist() == [0.0, 0.4]  # from least to most
    assert found.spearman[0] == found.overlap[0] == found.agreement[0] == found.bytes[0] == 1
    np.testing.assert_array_equal(found.accuracy[0], found.before)
    step = {"method": "channels", "amount": 0.4, "scope": "layer"}
    small = made("tabular_mlp", tmp_path / "c", step)
    drift = compression_drift(small, (), {"limit": 60, "reasons": 60}, 0, Meter())
    assert found.accuracy[1, 0] == pytest.approx(drift.accuracy[1])
    assert found.agreement[1] == pytest.approx(drift.agreement)
    # 30 inputs, twice 64 units and 2 classes, of which 39 units stay each time
    work = (30 * 39 + 39 * 39 + 39 * 2) / (30 * 64 + 64 * 64 + 64 * 2)
    assert found.multiply_adds[1] == pytest.approx(work)
    last = ticks[-1]
    assert last.done == last.total
    assert 0 < found.bytes[1] < 0.5


def test_a_sweep_over_a_table_of_ones_own(tmp_path: Path) -> None:
    table = pd.read_csv(resources.files("sample_models") / "tables" / "points.csv")
    table.rename(columns={"class": "side"}).iloc[:30].to_csv(tmp_path / "mine.csv", index=False)
    own = {"path": str(tmp_path / "mine.csv"), "label": "side"}
    found = sweep_of("two_features", "prune", [0.1, 0.2], **own)
    assert (found.data, found.examples, found.labelled) == ("mine.csv", 30, True)


def sweep(accuracy: list[float], spearman: list[float]) -> Sweep:
    count = len(accuracy)
    ends = np.array([[each, each - 0.02, each + 0.02] for each in accuracy])
    one = np.ones(count)
    about = Provenance("m", "f", (), "compression_sweep", {}, 0, "cpu", 0.0)
    return Sweep(
        "m", "d", 100, "Magnitude pruning", "amount", np.arange(count) / 10, True,
        np.array([0.9, 0.88, 0.92]), ends, one, "saliency", np.array(spearman), one, one, one, one,
        ("",) * count, about,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("accuracy", "spearman", "reasons", "worse"),
    [
        ([0.9, 0.89, 0.7], [0.95, 0.79, 0.3], 1, 2),
        ([0.9, 0.85, 0.7], [0.95, 0.79, 0.3], None, 1),  # accuracy is lower just as soon
        ([0.9, 0.9, 0.9], [0.9, 0.85, 0.8], None, None),  # 0.8 itself is not below
        ([0.9, np.nan, 0.9], [0.9, np.nan, 0.1], 2, None),
    ],
)
def test_where_reasons_break_before_accuracy(
    accuracy: list[float], spearman: list[float], reasons: int | None, worse: int | None
) -> None:
    found = sweep(accuracy, spearman)
    assert (found.other_reasons, found.less_accurate) == (reasons, worse)
    marks = [each.text for each in tradeoff(found).layout.annotations]
    assert len(marks) == sum(each is not None for each in (reasons, worse))
    assert ("the reasons are others" in finding(found)) == (reasons is not None)


def test_slices_tell_who_pays(tmp_path: Path) -> None:
    small = made("digits_cnn", tmp_path / "c", {"method": "channels", "amount": 0.5})
    drift = compression_drift(small, (), {"limit": 100, "reasons": 5}, 0, Meter())
    classes = [each for each in drift.slices if each.column == "class"]
    assert sum(each.examples for each in classes) == 100
    changes = [each.change[0] for each in drift.slices]
    assert changes == sorted(changes)
    assert changes[0] < 0
    for each in classes:
        assert each.change[0] == pytest.approx(each.after[0] - each.before[0])
        assert each.change[0] * each.examples == pytest.approx(each.gained - each.lost)
        assert each.change[1] <= each.change[0] <= each.change[2]
    whole = sum(each.gained - each.lost for each in classes) / 100
    assert whole == pytest.approx(drift.accuracy[1] - drift.accuracy[0])
    names = harms(drift, most=3).layout.yaxis.ticktext
    assert [name.partition(" · ")[0] for name in names] == [
        each.value if each.column == "class" else f"{each.column}: {each.value}"
        for each in drift.slices[:3]
    ]


def test_mcnemar_and_the_interval_are_their_formulas() -> None:
    before = np.array([1] * 9 + [0] * 3 + [1] * 20 + [0] * 8, bool)
    after = np.array([0] * 9 + [1] * 3 + [1] * 20 + [0] * 8, bool)
    two_sided = 2 * binom.cdf(3, 12, 0.5)  # statsmodels: exact, 2 · P(X <= min), at most 1
    assert mcnemar(before, after).p == pytest.approx(two_sided)
    value, low, high = paired_change(before, after)
    assert value == pytest.approx(-6 / 40)
    gained, lost, n = 4 / 42, 10 / 42, 42
    reach = 1.959964 * np.sqrt((gained + lost - (gained - lost) ** 2) / n)
    assert (low, high) == pytest.approx((gained - lost - reach, gained - lost + reach))
    same = paired_change(before, before)
    assert same[0] == 0
    assert same[1] < 0 < same[2]


def test_what_cannot_be_swept_is_told() -> None:
    assert values_of("amount=0.1:0.9:5")["values"] == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert values_of("rank=4,8")["values"] == [4, 8]
    for wrong in ("amount", "amount=0.1:0.9", "amount=a,b", "amount=0:1:1", "amount=0:1:1000000"):
        with pytest.raises(BadParameter, match="not a sweep"):
            values_of(wrong)
    with pytest.raises(BadParameter, match="cannot be swept"):
        swept([{"method": "prune"}], "rank", [1, 2])
    with pytest.raises(BadParameter, match="cannot be swept"):
        swept([{"method": "int8"}], "amount", [0.1, 0.2])
    with pytest.raises(BadParameter, match="1 values"):
        swept([{"method": "prune"}], "amount", [0.1, 0.1])
    with pytest.raises(BadParameter, match=r"from 0 to 0\.999"):
        swept([{"method": "prune"}], "amount", [0.1, 3])
    with pytest.raises(NotValid, match="only classifiers"):
        sweep_of("tiny_lm", "prune", [0.1, 0.2])
    with pytest.raises(NotValid, match="No value of amount"):
        sweep_of("text_rnn", "channels", [0.1, 0.2], limit=4)
    chained = swept([{"method": "prune"}, {"method": "bf16"}], "amount", [0.5, 0.1])
    assert [each[0]["amount"] for each in chained] == [0.1, 0.5]
    ranks = swept([{"method": "lowrank"}], "rank", [2, 9.0])
    assert [each[0]["rank"] for each in ranks] == [9, 2]


def test_the_command_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(
        capsys, "compress", "tabular_mlp", "--method", "channels", "--sweep", "amount=0.2,0.9",
        "--limit", 40, "--figure", tmp_path / "f.html", "--json", "--workspace", tmp_path,
    )  # fmt: skip
    assert status == 0
    assert len(json.loads(output)["rows"]) == 2
    assert (tmp_path / "f.html").stat().st_size > 1000
