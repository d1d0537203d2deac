"""Exports: every format opens again, says where it comes from, and stays harmless."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from pypdf import PdfReader

from core.errors import EngineError, MissingExtra, StorageError, UnknownName
from core.provenance import Provenance
from core.results import Architecture, Attribution, Fit, LayerInfo, Prediction
from core.tasks import PixelGrid, Target
from dashboard import export, metadata, renderer, theme

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
HOSTILE = "</script></metadata>]]><script>alert(1)</script>&\n%%EOF\nstartxref é"
PICTURES = ("png", "svg", "pdf")


def provenance(**changes: Any) -> Provenance:
    given: dict[str, Any] = {
        "model": "digits_cnn",
        "weights": "ab" * 32,
        "inputs": ("cd" * 32,),
        "verb": "attribute",
        "parameters": {"n_steps": 50},
        "seed": 0,
        "device": "cpu",
        "seconds": 0.25,
        "created": "2025-01-02T03:04:05+00:00",
    }
    return Provenance(**given | changes)


def attribution(**changes: Any) -> Attribution:
    random = np.random.default_rng(0)
    given: dict[str, Any] = {
        "method": "integrated_gradients",
        "example": HOSTILE,
        "target": Target(3, "three"),
        "axis": PixelGrid(1, 8, 6),
        "values": random.normal(size=(1, 8, 6)).astype(np.float32),
        "score": 2.5,
        "baseline_score": 0.5,
        "delta": 0.125,
        "fit": Fit("approximate", "because"),
        "settings": {"n_steps": 50, "note": HOSTILE},
        "picture": random.integers(0, 256, (8, 6, 3), dtype=np.uint8),
        "provenance": provenance(),
    }
    return Attribution(**given | changes)


def prediction() -> Prediction:
    logits = np.array([0.0, 3.0, 1.0, 2.0, -1.0, 0.5], np.float32)
    return Prediction(
        HOSTILE,
        ("zero", "one", "two", HOSTILE, "four", "five"),
        logits,
        np.exp(logits) / np.exp(logits).sum(),
        PixelGrid(1, 8, 6),
        np.zeros((8, 6, 3), np.uint8),
        provenance(verb="predict"),
    )


def figure(**layout: Any) -> go.Figure:
    look = {"height": 300, "title": "Seen at <b>8 × 6</b>", "template": theme.template(dark=False)}
    return go.Figure(go.Heatmap(z=np.arange(12.0).reshape(3, 4)), layout=look | layout)


def about(format_: str, data: bytes) -> dict[str, Any]:
    """The document inside an export, read as somebody else's program would read it."""
    found: dict[str, Any]
    match format_:
        case "json":
            found = json.loads(data)
        case "plotly.json":
            found = json.loads(data)["layout"]["meta"]["fluoroscope"]
        case "npz":
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                found = json.loads(str(arrays["provenance"]))
        case "html":
            found = json.loads(Scripts.of(data)["application/json"])
        case "png":
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                found = json.loads(image.text["fluoroscope"])  # type: ignore[attr-defined] # PNG's
        case "svg":
            note = parsed(data).find("{http://www.w3.org/2000/svg}metadata")
            assert note is not None
            found = json.loads(note.text or "")
        case "pdf":
            line = re.search(rb"^%fluoroscope (.*)$", data, re.MULTILINE)
            assert line is not None
            found = json.loads(line[1])
    return found


def parsed(data: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(data)  # noqa: S314 - our own bytes


class Scripts(HTMLParser):
    """The text of each script by its type, and every address a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.addresses: list[str] = []
        self._type: str | None = None

    @classmethod
    def of(cls, data: bytes) -> dict[str, str]:
        parser = cls()
        parser.feed(data.decode())
        return parser.texts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "action") and v]
        if tag == "script":
            self._type = given.get("type") or "text/javascript"

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._type = None

    def handle_data(self, data: str) -> None:
        if self._type:
            self.texts[self._type] = self.texts.get(self._type, "") + data


@pytest.fixture(scope="module")
def drawing() -> Iterator[None]:
    """A browser that draws, ended after the last test of this file."""
    if renderer.browser() is None:
        if os.environ.get("CI") == "true" or os.environ.get("FLUOROSCOPE_REQUIRE_BROWSER"):
            pytest.fail("Chromium is not installed: make chromium")
        pytest.skip("Chromium is not installed: make chromium")
    yield
    renderer.stop()


@pytest.fixture
def drawn(request: pytest.FixtureRequest, format_: str) -> str:
    """A format; where it is a picture, with a browser that draws it."""
    if format_ in PICTURES:
        request.getfixturevalue("drawing")
    return format_


PICTURE_PARAMETERS = [pytest.param(name, marks=pytest.mark.browser) for name in PICTURES]
every_picture = pytest.mark.parametrize("format_", PICTURE_PARAMETERS)
every_format = pytest.mark.parametrize("format_", [*PICTURE_PARAMETERS, *export.FORMATS[3:]])


def test_formats_are_these_and_have_a_media_type() -> None:
    assert export.FORMATS == ("png", "svg", "pdf", "html", "json", "plotly.json", "npz")
    assert set(export.MIME) == set(export.FORMATS)


@pytest.mark.parametrize("format_", ["jpg", "PNG", "", "../png"])
def test_an_unknown_format_names_the_known_ones(format_: str) -> None:
    with pytest.raises(UnknownName, match="format"):
        export.export(figure(), [], format_)


@every_format
def test_every_format_carries_the_document_unharmed(drawn: str) -> None:
    format_ = drawn
    result = attribution()
    told = export.document([result], prediction())
    data = export.export(figure(), [result], format_, document=told)
    found = about(format_, data)
    assert re.fullmatch(r"[0-9a-f]{16}", found.pop("nonce"))
    assert found == told
    assert found["provenance"] == result.provenance.as_json()
    assert found["example"] == HOSTILE


@every_format
def test_two_exports_never_have_equal_bytes(drawn: str) -> None:
    format_ = drawn
    shown, results = figure(), [attribution()]
    first, second = (export.export(shown, results, format_) for _ in range(2))
    assert first != second
    assert about(format_, first)["nonce"] != about(format_, second)["nonce"]


def test_document_of_one_attribution_is_flat_as_well() -> None:
    result = attribution(values=np.full((1, 8, 6), 0.5, np.float32))
    told = export.document([result], prediction())
    assert [row["class"] for row in told["prediction"]] == ["one", HOSTILE, "two", "five", "zero"]
    assert told["prediction"][0]["probability"] == pytest.approx(0.6048, abs=1e-4)
    entry = told["attributions"][0]
    assert {key: told[key] for key in entry} == entry
    assert (entry["method"], entry["title"]) == ("integrated_gradients", "Integrated gradients")
    assert entry["target"]["index"] == 3
    assert entry["target"]["class"] == "three"
    assert (entry["score"], entry["baseline_score"], entry["delta"]) == (2.5, 0.5, 0.125)
    assert (entry["sum"], entry["shape"]) == (24.0, [1, 8, 6])
    assert entry["fit"] == {"level": "approximate", "reason": "because"}


def test_document_of_several_attributions_keeps_them_apart() -> None:
    told = export.document([attribution(), attribution(method="saliency")], prediction())
    assert [entry["method"] for entry in told["attributions"]] == [
        "integrated_gradients",
        "saliency",
    ]
    assert "method" not in told
    assert "provenance" not in told


def test_json_without_a_document_tells_all_of_a_prediction() -> None:
    result = prediction()
    found = json.loads(export.export(figure(), [result], "json"))
    assert found["provenance"] == result.provenance.as_json()
    (told,) = found["results"]
    assert told["classes"] == list(result.classes)
    np.testing.assert_array_equal(np.float32(told["logits"]), result.logits)
    assert told["picture"] == result.picture.tolist()


def test_json_without_a_document_tells_all_of_an_architecture() -> None:
    layer = LayerInfo("fc", "Linear", "Linear", True, 10, 20, 1, (4,), (2,))
    result = Architecture(
        "m", (layer,), ("relu",), (), (), provenance(), fits={"lrp": Fit("exact")}
    )
    (told,) = json.loads(export.export(figure(), [result], "json"))["results"]
    assert told["layers"][0]["output_shape"] == [2]
    assert told["functions"] == ["relu"]
    assert told["fits"] == {"lrp": {"level": "exact", "reason": ""}}


def test_json_names_long_arrays_by_shape_and_what_is_not_finite_as_null() -> None:
    axis = PixelGrid(3, 80, 60)
    values = np.zeros((3, 80, 60), np.float32)
    result = attribution(
        axis=axis, values=values, score=float("nan"), settings={"a": np.float32(0.5), "b": ROOT}
    )
    data = export.export(figure(), [result], "json")
    (told,) = json.loads(data, parse_constant=pytest.fail)["results"]
    assert told["values"] == {"shape": [3, 80, 60], "dtype": "float32"}
    assert told["score"] is None
    assert told["settings"] == {"a": 0.5, "b": str(ROOT)}


def test_npz_of_one_result_has_its_arrays_by_name() -> None:
    result = attribution()
    with np.load(
        io.BytesIO(export.export(figure(), [result], "npz")), allow_pickle=False
    ) as arrays:
        assert set(arrays) == {"provenance", "values", "picture"}
        assert arrays["provenance"].shape == ()
        np.testing.assert_array_equal(arrays["values"], result.values)
        assert arrays["values"].dtype == np.float32
        np.testing.assert_array_equal(arrays["picture"], result.picture)


def test_npz_of_several_results_numbers_them() -> None:
    ones = np.ones((1, 8, 6), np.float32)
    results = [attribution(), attribution(values=ones), prediction()]
    data = export.export(figure(), results, "npz")
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["values_1"], ones)
        assert {"values_0", "picture_0", "picture_1", "logits_2", "probabilities_2"} < set(arrays)


def test_plotly_json_is_the_figure() -> None:
    shown = figure()
    data = json.loads(export.export(shown, [], "plotly.json"))
    again = go.Figure(data)
    again.layout.meta = None
    assert json.loads(again.to_json()) == json.loads(shown.to_json())
    assert shown.layout.meta is None


def test_html_refers_to_nothing_outside() -> None:
    parser = Scripts()
    parser.feed(export.export(figure(), [attribution()], "html").decode())
    assert parser.addresses == ["data:,"]


def test_html_and_svg_cannot_be_broken_out_of() -> None:
    names = attribution(example="<img src=x onerror=alert(1)>" + HOSTILE)
    page = export.export(figure(title=HOSTILE), [names], "html").decode()
    assert set(Scripts.of(page.encode())) == {"application/json", "text/javascript"}
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    note = metadata.svg(
        b'<svg xmlns="http://www.w3.org/2000/svg"/>'.replace(b"/>", b"></svg>"), {"x": HOSTILE}
    )
    root = parsed(note)
    assert [child.tag for child in root] == ["{http://www.w3.org/2000/svg}metadata"]
    assert list(root[0]) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rgba(0,0,0,0)", "#ffffff"),
        ("rgba(16, 18, 21, 0.5)", "#ffffff"),
        ("rgb(16 18 21 / 50%)", "#ffffff"),
        ("#10121580", "#ffffff"),
        ("rgba(16, 18, 21, 1)", "rgba(16, 18, 21, 1)"),
        ("#101215ff", "#101215ff"),
        ("#101215", "#101215"),
    ],
)
def test_exports_stand_on_a_solid_background(given: str, expected: str) -> None:
    framed = export._framed(figure(paper_bgcolor=given), [], 800)
    assert framed.layout.paper_bgcolor == expected


@pytest.mark.parametrize("dark", [False, True])
def test_exports_keep_the_theme_of_the_figure(dark: bool) -> None:
    shown = figure()
    shown.update_layout(template=theme.template(dark))
    framed = export._framed(shown, [attribution()], 800)
    assert framed.layout.paper_bgcolor is None
    assert framed.layout.template == shown.layout.template


def test_the_frame_leaves_the_plot_its_size_and_the_figure_alone() -> None:
    shown = figure(margin={"l": 1, "r": 2, "t": 3, "b": 4}, width=640)
    before = shown.to_json()
    framed = export._framed(shown, [attribution(example="cat.png")], 640)
    margin = framed.layout.margin
    assert framed.layout.height - margin.t - margin.b == 300 - 3 - 4
    assert (margin.l, margin.r, margin.t) == (21, 22, 23)
    assert "cat.png" in framed.layout.annotations[-1].text
    assert shown.to_json() == before


@every_picture
def test_pictures_open_again_with_the_size_asked_for(drawn: str) -> None:
    format_ = drawn
    shown = figure()
    framed = export._framed(shown, [], 640)
    data = export.export(shown, [], format_, width=640, scale=1.5)
    height = framed.layout.height
    if format_ == "png":
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.verify()
            assert image.size == (960, round(1.5 * height))
    elif format_ == "svg":
        root = parsed(data)
        assert (root.get("width"), root.get("height")) == ("640", f"{height:g}")
        assert "Seen at" in "".join(root.itertext())
    else:
        reader = PdfReader(io.BytesIO(data), strict=True)
        (sheet,) = reader.pages
        assert reader.metadata is not None
        assert reader.metadata.title == "Fluoroscope"
        assert float(sheet.mediabox.width) / 0.75 == pytest.approx(640, abs=2)
        assert float(sheet.mediabox.height) / 0.75 == pytest.approx(height, abs=2)
        assert "Seen at" in sheet.extract_text()


@pytest.mark.browser
@pytest.mark.usefixtures("drawing")
def test_png_is_drawn_on_the_theme_of_the_figure() -> None:
    shown = figure()
    shown.update_layout(template=theme.template(dark=True))
    with Image.open(io.BytesIO(export.export(shown, [], "png", scale=1))) as image:
        assert image.convert("RGBA").getpixel((2, 2)) == (0x10, 0x12, 0x15, 255)


@pytest.mark.browser
@pytest.mark.usefixtures("drawing")
def test_callers_at_once_each_get_their_own_figure() -> None:
    found: dict[int, str] = {}

    def draw(number: int) -> None:
        shown = figure(title=f"figure number {number}")
        found[number] = export.export(shown, [], "svg").decode()

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: re.findall(r"figure number \d", found[n]) for n in sorted(found)} == {
        n: [f"figure number {n}"] for n in range(6)
    }


@pytest.mark.browser
@pytest.mark.usefixtures("drawing")
def test_pdf_with_much_metadata_still_ends_as_readers_expect() -> None:
    data = export.export(figure(), [], "pdf", document={"note": HOSTILE * 100})
    assert re.search(rb"\nstartxref\n\d+\n%%EOF\n$", data)
    assert len(PdfReader(io.BytesIO(data), strict=True).pages) == 1


@pytest.mark.browser
@pytest.mark.usefixtures("drawing")
def test_a_browser_that_died_is_started_again() -> None:
    first = renderer._renderer("png")
    assert first._kaleido is not None
    first._kaleido.subprocess.kill()
    first._kaleido.subprocess.wait()
    assert export.export(figure(), [], "png").startswith(b"\x89PNG")
    assert renderer._renderer("png") is not first


@pytest.mark.browser
@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("angle", [-40, -90, None])
def test_the_caption_stands_below_slanted_labels(angle: int | None) -> None:
    shown = figure(height=300, margin={"b": 8, "l": 8, "r": 8, "t": 8})
    names = ["encoder.layers.0.dropout", "x", "y"]
    shown.update_xaxes(tickvals=[0, 1, 2], ticktext=names, tickangle=angle)
    drawn = export.export(shown, [attribution()], "svg").decode()
    (label,) = re.findall(r'<text text-anchor="\w+" x="[^"]*" y="([^"]*)"[^>]*>encoder', drawn)
    (caption,) = re.findall(r'<g class="annotation".*?translate\([^,]*,([^)]*)\)', drawn)
    longest = 0.5 * 12 * len(names[0]) * math.sin(math.radians(abs(angle or 0)))
    assert float(caption) > float(label) + longest


@pytest.mark.browser
@pytest.mark.usefixtures("drawing")
def test_a_process_that_drew_ends_cleanly() -> None:
    program = """
import plotly.graph_objects as go
from dashboard import renderer
print(len(renderer.render(go.Figure(), "svg", 1)) > 1000, renderer._running._kaleido.subprocess.pid)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    drawn, pid = done.stdout.split()
    assert drawn == "True"
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.browser
@pytest.mark.usefixtures("drawing")
def test_a_farewell_read_together_with_a_last_message_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from choreographer.channels.pipe import Pipe

    renderer.stop()
    assert export.export(figure(), [], "png")
    pipe = Pipe()
    pipe.open()
    os.write(pipe._write_from_browser, b'{"id": 7}\0{bye}\n\0')
    answers, _ = pipe.read_jsons()
    pipe.close()
    assert [dict(answer)["id"] for answer in answers] == [7]
    assert "JSONError" not in caplog.text


def test_without_a_browser_the_message_says_what_brings_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    renderer.stop()
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(MissingExtra, match=r"nowhere.*apt-get install chromium.*plotly_get_chrome"):
        export.export(figure(), [], "png")
    assert export.export(figure(), [], "html")


@pytest.mark.parametrize("program", ["exit 1", "exec sleep 60"])
def test_a_browser_that_does_not_start_is_an_error_and_no_hang(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    renderer.stop()
    broken = tmp_path / "broken"
    broken.write_text(f"#!/bin/sh\n{program}\n")
    broken.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(broken))
    monkeypatch.setattr(renderer, "_START_SECONDS", 1)
    monkeypatch.setattr(renderer, "_CLOSE_SECONDS", 0.5)
    with pytest.raises(EngineError, match=r"PDF could not be drawn.*broken.*export as HTML"):
        export.export(figure(), [], "pdf")
    assert not [x for x in threading.enumerate() if x.name == "fluoroscope-renderer"]


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "digit.json"
    for _ in range(2):
        export.write(path, figure(), [attribution()], "json", {"example": HOSTILE})
    assert json.loads(path.read_bytes())["example"] == HOSTILE
    assert [each.name for each in path.parent.iterdir()] == ["digit.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "digit.json"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        export.write(path, figure(), [attribution()], "json")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["digit.json"]


@pytest.mark.browser
def test_html_draws_without_a_network_and_without_a_word(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "map.html"
    shown = figure(title=HOSTILE)
    shown.add_scattergl(x=[0, 1], y=[0, 1])
    export.write(path, shown, [attribution()], "html", {"example": HOSTILE})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.context.set_offline(True)
    page.goto(path.as_uri())
    page.wait_for_selector(".main-svg .heatmaplayer image")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert (
        page.evaluate("JSON.parse(document.getElementById('fluoroscope').text).example") == HOSTILE
    )
    assert page.evaluate("document.scripts.length") == 4


def test_exporting_imports_neither_torch_nor_streamlit() -> None:
    program = (
        "import sys, dashboard.export; print(sorted({'torch', 'streamlit'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
