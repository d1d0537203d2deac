"""The command line: what it lists, what it writes, and how it says no."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import core
from core.attribution.registry import methods
from core.data.gallery import gallery_item
from core.tasks import AxisKind
from dashboard import cli
from tests import images

DIGIT = gallery_item("digit-3.png").path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["fluoroscope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def names(axis: AxisKind) -> set[str]:
    return {method.name for method in methods(axis)}


@pytest.mark.parametrize(
    ("what", "name", "fields"),
    [
        ("models", "digits_cnn", {"title", "task", "accuracy", "parameters", "installed"}),
        ("methods", "lrp", {"title", "family", "parameters", "reference"}),
        ("examples", "digit-3.png", {"title", "models", "path"}),
    ],
)
def test_lists(capsys: pytest.CaptureFixture[str], what: str, name: str, fields: set[str]) -> None:
    status, table, _ = run(capsys, "list", what)
    assert status == 0
    assert any(line.startswith(name) for line in table.splitlines())
    status, text, _ = run(capsys, "list", what, "--json")
    rows = json.loads(text)
    assert status == 0
    assert next(row for row in rows if row["name"] == name).keys() >= fields
    if what == "methods":
        suited = {row["name"]: row["inputs"] for row in rows}
        assert len(suited) == len(rows)
        assert {name for name in suited if "images" in suited[name]} == names("pixels")
        assert {name for name in suited if "texts" in suited[name]} == names("tokens")


def test_attribute_writes_what_it_computed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, output, errors = run(
        capsys, "attribute", "digits_cnn", DIGIT, "--method", "integrated_gradients",
        "--method", "saliency", "--set", "n_steps=20", "--seed", 3, "--out", tmp_path,
        "--format", "json,npz,html,plotly.json",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    names = sorted(Path(line).name for line in output.splitlines())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 8
    told = json.loads((tmp_path / "digit-3.integrated_gradients.json").read_text())
    assert told["prediction"][0]["class"] == "3"
    assert told["target"]["class"] == "3"
    assert told["shape"] == [1, 28, 28]
    assert told["settings"]["n_steps"] == 20
    provenance = told["provenance"]
    assert provenance["input_sha256"] == [hashlib.sha256(DIGIT.read_bytes()).hexdigest()]
    assert provenance["weights_sha256"] == core.reference("digits_cnn").fingerprint
    assert provenance["seed"] == 3
    with np.load(tmp_path / "digit-3.integrated_gradients.npz", allow_pickle=False) as arrays:
        values = arrays["values"]
    assert told["sum"] == pytest.approx(float(values.sum(dtype="float64")))
    assert told["delta"] == pytest.approx(
        told["sum"] - (told["score"] - told["baseline_score"]), abs=1e-9
    )
    image = core.open_example(DIGIT)
    (same,) = core.attribute(
        core.reference("digits_cnn"), [image], "integrated_gradients", n_steps=20, seed=3
    )
    np.testing.assert_allclose(values, same.values, atol=1e-5)


def test_targets_and_equal_stems(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.png").write_bytes(DIGIT.read_bytes())
    out = tmp_path / "out"
    status, _, _ = run(
        capsys, "attribute", "digits_cnn", tmp_path / "a/same.png", tmp_path / "b/same.png",
        "--method", "saliency", "--target", "top3", "--format", "json", "--out", out,
    )  # fmt: skip
    assert status == 0
    files = sorted(out.iterdir())
    assert len(files) == 2
    for file in files:
        assert len(json.loads(file.read_text())["attributions"]) == 3
    status, _, _ = run(
        capsys, "attribute", "digits_cnn", DIGIT, "--method", "saliency", "--target", "3 vs 8",
        "--format", "json", "--out", tmp_path / "contrast",
    )  # fmt: skip
    (file,) = (tmp_path / "contrast").iterdir()
    assert json.loads(file.read_text())["target"]["versus"] == 8


@pytest.mark.parametrize("said", [("--set", "baseline=image"), ()])
def test_baseline_image_is_part_of_the_provenance(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, said: tuple[str, ...]
) -> None:
    other = gallery_item("digit-8.png").path
    status, _, _ = run(
        capsys, "attribute", "digits_cnn", DIGIT, "--method", "deeplift", *said,
        "--baseline-image", other, "--format", "json", "--out", tmp_path,
    )  # fmt: skip
    assert status == 0
    told = json.loads((tmp_path / "digit-3.deeplift.json").read_text())
    assert told["provenance"]["input_sha256"][1] == hashlib.sha256(other.read_bytes()).hexdigest()


@pytest.mark.browser
def test_pictures_open(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from pypdf import PdfReader

    status, _, errors = run(
        capsys, "attribute", "digits_cnn", DIGIT, "--method", "saliency", "--out", tmp_path,
        "--format", "png,svg,pdf",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    with Image.open(tmp_path / "digit-3.saliency.png") as picture:
        assert min(picture.size) > 200
        assert len(set(picture.convert("L").tobytes())) > 20
    root = ElementTree.fromstring(  # noqa: S314 - our own file
        (tmp_path / "digit-3.saliency.svg").read_text()
    )
    assert root.tag.endswith("svg")
    (page,) = PdfReader(tmp_path / "digit-3.saliency.pdf").pages
    assert "Saliency" in page.extract_text()


BASIC = ["--method", "saliency"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["digit_cnn", DIGIT, *BASIC], "digits_cnn"),
        (["digits_cnn", "nowhere.png", *BASIC], "cannot be read"),
        (["digits_cnn", DIGIT.parent, *BASIC], "cannot be read"),
        (["digits_cnn", DIGIT, "--method", "salency"], "saliency"),
        (["digits_cnn", DIGIT, *BASIC, "--target", "zebra"], "zebra"),
        (["digits_cnn", DIGIT, *BASIC, "--target", "top99"], "10"),
        (["digits_cnn", DIGIT, *BASIC, "--set", "n_steps=3"], "takes none"),
        (["digits_cnn", DIGIT, *BASIC, "--set", "n_steps"], "not a setting"),
        (["digits_cnn", DIGIT, "--method", "smoothgrad", "--set", "n_samples=1"], "from 2"),
        (["digits_cnn", DIGIT, "--method", "grad_cam", "--set", "layer=conv9"], "conv"),
        (["digits_cnn", DIGIT, "--method", "deeplift", "--set", "baseline=image"], "picture"),
        (["digits_cnn", DIGIT, *BASIC, "--format", "png,gif"], "gif"),
        (["digits_cnn", DIGIT, *BASIC, "--format", ""], "names no format"),
        (["digits_cnn", DIGIT, *BASIC, "--format", " , "], "names no format"),
        (["digits_cnn", DIGIT, *BASIC, "--device", "quantum"], "device"),
        (["digits_cnn", DIGIT, *BASIC, "--device", "cpu:7"], "no device 'cpu:7'"),
        (["digits_cnn", DIGIT, *BASIC, "--baseline-image", DIGIT], "has a baseline"),
        (
            [
                "digits_cnn",
                DIGIT,
                "--method",
                "deeplift",
                "--set",
                "baseline=zero",
                "--baseline-image",
                DIGIT,
            ],
            "baseline=zero",
        ),
        (["fashion_vit", DIGIT, "--method", "guided_backprop"], "ReLU"),
    ],
)
def test_a_mistake_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[object], word: str
) -> None:
    out = tmp_path / "out"
    more = [] if "--format" in arguments else ["--format", "json"]
    status, output, errors = run(capsys, "attribute", *arguments, *more, "--out", out)
    assert status == 2
    assert output == ""
    assert len(errors.splitlines()) == 1
    assert word in errors
    assert "Traceback" not in errors
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize("name", sorted(images.HOSTILE))
def test_a_hostile_file_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    make, word = images.HOSTILE[name]
    path = tmp_path / f"{name}.png"
    path.write_bytes(make())
    status, output, errors = run(
        capsys, "attribute", "digits_cnn", path, *BASIC, "--format", "json", "--out", tmp_path / "o"
    )
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert word.lower() in errors.lower()


def test_a_single_pixel_works(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), "white").save(buffer, "PNG")
    path = tmp_path / "dot.png"
    path.write_bytes(buffer.getvalue())
    status, _, errors = run(
        capsys, "attribute", "digits_cnn", path, *BASIC, "--format", "json", "--out", tmp_path / "o"
    )
    assert (status, errors) == (0, "")


def test_out_that_is_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    status, _, errors = run(capsys, "attribute", "digits_cnn", DIGIT, *BASIC, "--out", path)
    assert status == 2
    assert "Cannot write" in errors
    assert path.read_text() == "mine"


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, _, errors = run(capsys, "serve", "--port", taken.getsockname()[1])
    assert status == 2
    assert "Cannot listen" in errors


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--device", "foo"), "expected auto, cpu"),
        (("--host", "203.0.113.9"), "Use --host 127.0.0.1"),
        (("--host", "no such name"), "Use --host 127.0.0.1"),
    ],
)
def test_serving_where_it_cannot_be(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    status, output, errors = run(capsys, "serve", *arguments)
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert word in errors


def test_a_workspace_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path))  # the command sets its own
    (tmp_path / "file").write_text("x")
    where = ("--workspace", tmp_path / "file")
    for command in (
        ("serve", *where),
        ("attribute", "digits_cnn", DIGIT, *BASIC, "--out", tmp_path / "o", *where),
    ):
        status, output, errors = run(capsys, *command)
        assert (status, output) == (2, "")
        assert len(errors.splitlines()) == 1
        assert "cannot be used" in errors


@pytest.mark.parametrize("target", ["top" + "9" * 5000, "9" * 5000])
def test_a_long_number_is_not_echoed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, target: str
) -> None:
    status, _, errors = run(
        capsys, "attribute", "digits_cnn", DIGIT, *BASIC, "--target", target, "--out", tmp_path
    )
    assert status == 2
    assert len(errors) < 400


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range(capsys: pytest.CaptureFixture[str], tmp_path: Path, seed: int) -> None:
    status, _, errors = run(
        capsys, "attribute", "digits_cnn", DIGIT, *BASIC, "--seed", seed, "--out", tmp_path
    )
    assert status == 2
    assert "--seed" in errors
    assert "Traceback" not in errors


def test_a_missing_argument_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, errors = run(capsys, "attribute")
    assert status == 2
    assert "Missing argument" in errors


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys; from dashboard import cli; sys.argv = ['fluoroscope', 'list', 'methods']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'captum', 'umap', 'transformers', 'streamlit', 'plotly'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
