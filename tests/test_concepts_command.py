"""``fluoroscope concepts`` and ``fluoroscope influence``: tables, JSON, figures, plain errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_capture_command import run


def test_concepts_of_ones_own_and_of_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("--set", "draws=10", "--set", "repeats=2")
    status, output, _ = run(capsys, "concepts", "tabular_mlp", *quick, "--layer", "hidden.0")
    assert status == 0
    assert output.splitlines()[0].split()[:4] == ["concept", "layer", "tcav", "sensitivity"]
    assert "High worst radius" in output
    mine = tmp_path / "mine.csv"
    from core.data.dataset import dataset
    from core.models.catalogue import card

    rows = [json.loads(dataset(card("tabular_mlp"))[n].data) for n in range(12)]
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    mine.write_text("\n".join(lines))
    out = tmp_path / "out"
    status, output, _ = run(
        capsys, "concepts", "tabular_mlp", "--concept", f"mine={mine}", "--target", "benign",
        *quick, "--json", "--out", out, "--format", "json",
    )  # fmt: skip
    assert status == 0
    found = json.loads(output)
    assert found["target"] == "benign"
    assert [(row["concept"], row["examples"]) for row in found["concepts"]] == [("mine", 12)] * 2
    assert (out / "tabular_mlp.concepts.json").is_file()
    for wrong, said in (
        (("--concept", "mine"), "is no concept"),
        (("--concept", f"mine={tmp_path / 'gone'}"), "gone"),
        (("--target", "purple"), "purple"),
    ):
        status, _, error = run(capsys, "concepts", "tabular_mlp", *wrong)
        assert status == 2
        assert said in error
    status, _, error = run(capsys, "concepts", "tiny_lm")
    assert status == 2
    assert "writes" in error


def test_influence_on_a_row_and_the_hardest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status, output, _ = run(
        capsys, "influence", "tabular_mlp", "--row", 1, "--json", "--set", "most=3",
        "--out", out, "--format", "json",
    )  # fmt: skip
    assert status == 0
    found = json.loads(output)
    assert found["target"] == "malignant"
    assert [row["class"] for row in found["examples"]] == ["malignant"] * 3 + ["benign"] * 3
    assert (out / "tabular_mlp.influence.json").is_file()
    status, output, _ = run(capsys, "influence", "tabular_mlp", "--how", "self")
    assert status == 0
    assert len(output.splitlines()) == 9
    status, output, _ = run(
        capsys, "influence", "tabular_mlp", "--how", "similar", "--row", 2, "--layer", "hidden.3"
    )
    assert status == 0
    for wrong, said in (
        (("tabular_mlp",), "expected one"),
        (("tabular_mlp", "--row", 10_000), "142"),
        (("fashion_vit", "--row", 1), "is not kept"),
    ):
        status, _, error = run(capsys, "influence", *wrong)
        assert status == 2
        assert said in error


def test_the_figure_marks_what_is_listed() -> None:
    import numpy as np

    from core.provenance import Provenance
    from core.results import Influence
    from core.tasks import Example, Target
    from dashboard.figures.influence import influence_by_class

    count = 6_000
    scores = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    order = np.argsort(-scores)
    shown = tuple(Example("e", b"x") for _ in range(4))
    labels = np.arange(count) % 2
    found = Influence(
        "m", "d", "tracin", "e", Target(0, "<a>"), ("<a>", "b"), "tokens", np.arange(count), scores,
        labels, labels, order[:2], order[-2:], shown, (1,), (0.1,), "last layer", (),
        Provenance("m", "w", (), "influence", {}, 0, "cpu", 0.0),
    )  # fmt: skip
    figure = influence_by_class(found, dark=True)
    drawn = np.concatenate([trace.x for trace in figure.data])
    assert len(drawn) <= 5_004
    assert set(scores[[*order[:2], *order[-2:]]]) <= set(drawn)
    assert list(figure.layout.yaxis.ticktext) == ["&lt;a&gt;", "b"]
    sizes = np.concatenate([trace.marker.size for trace in figure.data])
    assert (sizes == 9).sum() == 4
