"""Estimators of scikit-learn and ONNX graphs: read from strangers' files without running anything,
and explained by methods that only ask.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from test_figures_columns import single

import core
from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.errors import BadInput, BadModel, NotValid, UnknownName
from core.models import estimator, skopsfile
from core.models.catalogue import card, reference
from core.models.loaded import twin
from core.models.loader import load
from core.progress import Meter
from core.tasks import Columns, Example

io = pytest.importorskip("skops.io")
ASKING = ("feature_ablation", "shapley_value_sampling", "kernel_shap", "lime")


@pytest.fixture(autouse=True, scope="module")
def announced() -> None:
    """The source, also where the installed package does not name it yet."""
    assert estimator.knows("/a/model.skops") and estimator.knows("/b.ONNX")
    assert not estimator.knows("tabular_mlp") and not estimator.knows("b.onnx")


def people() -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, 90),
            "colour": random.choice(["red", "blue", "white"], 90),
            "size": random.normal(2, 4, 90),
        }
    )
    labels = np.where((frame["age"] > 40) | (frame["colour"] == "red"), "yes", "no")
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "colour"] = np.nan
    return frame, labels


@cache
def fitted() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    names = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer([("n", numbers, ["age", "size"]), ("c", names, ["colour"])])
    forest = RandomForestClassifier(3, max_depth=4, random_state=0)
    return Pipeline([("columns", columns), ("forest", forest)]).fit(*people())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "people.skops"
    io.dump(fitted(), place)
    return place


def opened(path: Path) -> Any:
    return load(reference(str(path)), "cpu")


def row(**changed: Any) -> Example:
    values = {"age": 31.5, "colour": "red", "size": 2.25} | changed
    return Example("row.json", json.dumps(values).encode())


def chances(model: Any, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    rows = [Example(f"{i}", json.dumps(each).encode()) for i, each in enumerate(records)]
    return np.array([each.probabilities for each in core.predict(model, rows)])


def test_the_card_says_what_the_pipeline_learned_without_importing_it(path: Path) -> None:
    about = card(str(path))
    assert about.classes == ("no", "yes")
    age, colour, size = about.raw["preprocessing"]["features"]
    scaler = fitted()[0].named_transformers_["n"][-1]
    assert (age["name"], size["name"]) == ("age", "size")
    assert [age["mean"], age["std"]] == pytest.approx([scaler.mean_[0], scaler.scale_[0]])
    assert (colour["categories"], colour["mean"]) == (("blue", "red", "white"), None)
    usual = people()[0]["colour"].mode()[0]
    assert about.raw["preprocessing"]["usual"] == {"colour": usual}
    assert "Pipeline of ColumnTransformer → RandomForestClassifier" in about.summary


def test_answers_are_the_live_pipelines_with_missing_and_unseen_values(path: Path) -> None:
    frame = people()[0].head(40)
    frame.loc[3, "colour"] = "green"
    expected = fitted().predict_proba(frame)
    found = chances(reference(str(path)), frame)
    np.testing.assert_allclose(found, expected, atol=3e-6)  # a probability of 0 counts as 1e-6
    (said,) = core.predict(reference(str(path)), [row(colour="green", age=None)])
    assert said.notes == ("'colour' has a value unseen in training: green.",)
    assert said.axis == Columns(("age", "colour", "size"), ("(missing)", "green", "2.25"))


@pytest.mark.parametrize("name", ASKING)
def test_methods_that_ask_explain_raw_columns(name: str, path: Path) -> None:
    model = opened(path)
    example = row(age=None, size=-3.0)
    asked = {"method": name, "target": "yes", "settings": {}}
    (found,) = attribute(model, [example], asked, 0, Meter())
    assert found.values.shape == (3,) and np.isfinite(found.values).all()
    assert found.unit == "log-probability"
    if found.delta is not None:
        assert abs(found.delta) < 1e-4
        _, trace = single(found)
        assert sum(trace.x[:-1]) == pytest.approx(found.score, abs=1e-4)
    if name == "feature_ablation":  # the same by hand: one value made the usual one
        age, _, size = card(str(path)).raw["preprocessing"]["features"]
        usual = people()[0]["colour"].mode()[0]
        given = {"age": np.nan, "colour": "red", "size": -3.0}
        instead = {"age": age["mean"], "colour": usual, "size": size["mean"]}
        frames = pd.DataFrame([given, *({**given, n: instead[n]} for n in given)])
        logs = np.log(np.clip(fitted().predict_proba(frames)[:, 1], 1e-6, 1))
        np.testing.assert_allclose(found.values, logs[0] - logs[1:], atol=1e-5)


def test_gradient_methods_are_refused_with_the_reason(path: Path) -> None:
    model = opened(path)
    fits = describe(model).fits
    assert {name for name, fit in fits.items() if fit.usable} == {*ASKING}
    with pytest.raises(NotValid, match="No gradient"):
        attribute(model, [row()], {"method": "saliency"}, 0, Meter())


def test_what_a_linear_model_adds_is_the_weight_times_the_step(tmp_path: Path) -> None:
    """Of the contrast of two classes, which log-probabilities keep: ``w · (x - mean)``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, labels = people()
    frame = frame[["age", "size"]].fillna(40)
    line = make_pipeline(StandardScaler(), LogisticRegression(C=0.2)).fit(frame, labels)
    io.dump(line, tmp_path / "line.skops")
    model = opened(tmp_path / "line.skops")
    scaler, weights = line[0], line[1].coef_[0]
    for name in ASKING[:3]:
        asked = {"method": name, "target": "yes vs no", "settings": {}}
        (found,) = attribute(model, [row()], asked, 0, Meter())
        expected = weights * (np.array([31.5, 2.25]) - scaler.mean_) / scaler.scale_
        np.testing.assert_allclose(found.values, expected, atol=2e-3)


def test_a_table_beside_it_is_its_data(path: Path) -> None:
    frame, labels = people()
    frame.assign(label=labels).to_csv(path.with_suffix(".csv"), index=False)
    data = core.dataset(card(str(path)))
    assert (len(data), data.classes) == (90, ("no", "yes"))
    beside = {"data": "../../etc/passwd"}
    path.with_name(f"{path.name}.json").write_text(json.dumps(beside))
    with pytest.raises(BadModel, match="not beside it"):
        card(str(path))


def test_the_card_beside_it_is_believed(path: Path) -> None:
    columns = [{"name": "age", "mean": 1.0, "std": 2.0}, "colour", "size"]
    about = {"title": "People", "classes": ["A", "B"], "columns": columns}
    path.with_name(f"{path.name}.json").write_text(json.dumps(about))
    found = card(str(path))
    age, colour, _ = found.raw["preprocessing"]["features"]
    assert (found.title, found.classes, age["mean"]) == ("People", ("A", "B"), 1.0)
    assert colour["categories"] == ("blue", "red", "white")
    path.with_name(f"{path.name}.json").write_text('{"columns": [3')
    with pytest.raises(BadModel, match="cannot be read"):
        card(str(path))


class Loud:
    """Says that it was built."""

    built: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.value = 1

    def __setstate__(self, state: object) -> None:
        Loud.built.append("state")


def hostile(kind: str) -> Any:
    import os
    from functools import partial

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    if kind == "a class of its own":
        return Loud()
    run = os.system if kind == "a call" else partial(os.system, "touch /tmp/never")
    frame, labels = people()
    inner = make_pipeline(FunctionTransformer(), LogisticRegression())
    inner.fit(frame[["size"]].to_numpy(), labels)
    inner[0].func = run
    return inner


@pytest.mark.parametrize("kind", ["a call", "a partial call", "a class of its own"])
def test_a_type_that_is_not_allowed_is_never_built(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.skops"
    io.dump(hostile(kind), path)
    Loud.built.clear()
    with pytest.raises(BadModel, match=r"not allowed: .*(system|Loud).* None of it was run"):
        skopsfile.read(path)
    assert Loud.built == []


def test_a_forged_tree_is_refused(path: Path, tmp_path: Path) -> None:
    """A child outside of the tree would be read from memory that is not its own."""
    from sklearn.tree import DecisionTreeClassifier

    frame, labels = people()
    values = frame[["size"]].to_numpy()
    for change in ("left_child", "feature", "circle", "width"):
        tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(values, labels)
        state = tree.tree_.__getstate__()
        nodes = state["nodes"].copy()
        if change == "circle":
            nodes["right_child"][0] = 0
        elif change == "width":
            tree.n_features_in_ = 0
        else:
            nodes[change][0] = 10_000
        tree.tree_.__setstate__({**state, "nodes": nodes})
        io.dump(tree, tmp_path / "forged.skops")
        with pytest.raises(BadModel, match="points outside of itself"):
            skopsfile.read(tmp_path / "forged.skops")


def boosted() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame, labels = people()
    return HistGradientBoostingClassifier(max_iter=3).fit(frame[["age", "size"]], labels)


def test_boosted_trees_are_read_and_checked(tmp_path: Path) -> None:
    model = boosted()
    io.dump(model, tmp_path / "boosted.skops")
    frame = people()[0][["age", "size"]].head(9)
    expected = model.predict_proba(frame)
    found = chances(reference(str(tmp_path / "boosted.skops")), frame)
    np.testing.assert_allclose(found, expected, atol=3e-6)
    model._predictors[1][0].nodes["left"][0] = 9_999
    io.dump(model, tmp_path / "boosted.skops")
    with pytest.raises(BadModel, match="points outside"):
        skopsfile.read(tmp_path / "boosted.skops")


def test_files_that_are_none_get_a_sentence(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(UnknownName, match="no file"):
        card(str(tmp_path / "gone.skops"))
    other = tmp_path / "other.skops"
    for content in (b"\x89PNG", path.read_bytes()[:-400], b"PK\x05\x06" + b"\0" * 18):
        other.write_bytes(content)
        with pytest.raises(BadModel, match=r"no file of skops|no whole zip"):
            card(str(other))
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("schema.json", '{"__loader__": "ListNode", "content": []}')
    with pytest.raises(BadModel, match="holds no estimator"):
        card(str(other))
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("schema.json", '{"content":' * 50_000)
    with pytest.raises(BadModel, match="no file of skops"):
        card(str(other))
    monkeypatch.setattr(skopsfile, "MAX_BYTES", 1_000)
    with pytest.raises(BadModel, match="GiB unpacked"):
        card(str(path))


def test_what_gives_no_probabilities_or_no_classes_is_told(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression, RidgeClassifier

    frame, labels = people()
    values = frame[["size"]].to_numpy()
    io.dump(RidgeClassifier().fit(values, labels), tmp_path / "ridge.skops")
    with pytest.raises(BadModel, match="gives no probabilities"):
        opened(tmp_path / "ridge.skops")
    io.dump(LinearRegression().fit(values, values[:, 0]), tmp_path / "line.skops")
    with pytest.raises(BadModel, match="does not say its classes"):
        card(str(tmp_path / "line.skops"))


def test_a_value_that_the_pipeline_refuses_is_told(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    frame, labels = people()
    io.dump(LogisticRegression().fit(frame[["size"]], labels), tmp_path / "bare.skops")
    with pytest.raises(BadInput, match="refuses such a row: Input X contains NaN"):
        core.predict(reference(str(tmp_path / "bare.skops")), [row(size=None)])


def test_a_twin_knows_the_same_words(path: Path) -> None:
    model = opened(path)
    with model.exclusive() as module:
        double = twin(module)
        batch = model.adapter.encode([row(colour="a new one")], model)
        np.testing.assert_array_equal(
            model.adapter.logits(double, batch.features), module(batch.features)
        )


def test_an_onnx_graph_answers_as_the_estimator_it_was_made_of(tmp_path: Path) -> None:
    convert = pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    from sklearn.linear_model import LogisticRegression

    frame, labels = people()
    values = frame[["age", "size"]].fillna(40).to_numpy(np.float32)
    live = LogisticRegression().fit(values, labels)
    path = tmp_path / "line.onnx"
    path.write_bytes(convert.to_onnx(live, values[:1]).SerializeToString())
    with pytest.raises(BadModel, match=r"does not say its classes and columns"):
        card(str(path))
    about = {"classes": ["no", "yes"], "columns": ["age", {"name": "size", "mean": 2.0, "std": 4}]}
    path.with_name("line.onnx.json").write_text(json.dumps(about))
    shown = pd.DataFrame(values[:20], columns=["age", "size"])
    found = chances(reference(str(path)), shown)
    np.testing.assert_allclose(found, live.predict_proba(values[:20]), atol=3e-6)
    asked = {"method": "feature_ablation", "target": "yes vs no", "settings": {}}
    (ablated,) = attribute(opened(path), [row()], asked, 0, Meter())
    np.testing.assert_allclose(ablated.values, live.coef_[0] * [31.5, 0.25], atol=1e-4)
    path.write_bytes(b"no graph")
    with pytest.raises(BadModel, match="no ONNX graph"):
        opened(path)


REPORTS = """
import core
import numpy, onnxruntime
from onnx import TensorProto, helper
value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
given = {"providers": ["CPUExecutionProvider"]}
session = onnxruntime.InferenceSession(model.SerializeToString(), **given)
print(session.run(None, {"x": numpy.ones(1, numpy.float32)})[0])
"""


def test_no_library_reports_to_its_makers(tmp_path: Path) -> None:
    """Without its being told, it leaves the number of this device and what is to be sent."""
    known = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    done = subprocess.run(
        [sys.executable, "-c", REPORTS],
        env={**{name: known[name] for name in known if name != "CI"}, "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "[1.]", done.stderr
    assert not [each for each in tmp_path.rglob("*") if "onnxruntime" in each.name]
