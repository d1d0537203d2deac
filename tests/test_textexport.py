"""Coloured texts: what each word looks like, and the files they become."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from core.data.segment import tokens
from core.models.tokenizer import Encoded
from core.provenance import Provenance
from core.results import Attribution, Fit
from core.tasks import Target
from dashboard import renderer, textexport, texts
from dashboard.theme import LIGHT, readable

EVIL = "<script>alert('1')</script> & \\input{x}"
needs_browser = pytest.mark.skipif(renderer.browser() is None, reason="no browser is installed")


def attribution(
    text: str, values: list[float] | None = None, special: tuple[bool, ...] = (), **changes: Any
) -> Attribution:
    """A token per word; its values fall from 1 to -1 if none are given."""
    words = list(re.finditer(r"\S+", text))
    spans = tuple(word.span() for word in words)
    pieces = tuple(word.group() for word in words)
    own = special or (False,) * len(words)
    axis = tokens([(text, Encoded(tuple(range(len(words))), spans, own, pieces))])
    found = np.linspace(1, -1, len(words)) if values is None else np.array(values)
    provenance = Provenance("m", "0" * 64, (), "attribute", {}, 0, "cpu", 0.1)
    about: dict[str, Any] = {
        "method": "saliency", "example": "t.txt", "target": Target(0, "for"), "axis": axis,
        "values": found.astype(np.float32), "score": 1.0, "fit": Fit("exact"), "settings": {},
        "picture": None, "provenance": provenance,
    }  # fmt: skip
    return Attribution(**{**about, **changes})


def drawn(one: Attribution, **look: Any) -> list[dict[str, Any]]:
    (row,) = texts.rows([one], {"saliency": "Saliency"}, level="token", **look)
    pieces: list[dict[str, Any]] = row["pieces"]
    return pieces


def file(one: Attribution, format_: str) -> bytes:
    rows = texts.rows([one], {"saliency": "Saliency"}, level="token")
    legends = texts.scales([one], "token", True, True, False)
    return textexport.export(rows, legends, format_, document={"example": one.example})


def test_the_whole_text_is_there_once_and_in_order() -> None:
    text = "  A good film,\n\nbut too   long "
    assert "".join(piece["text"] for piece in drawn(attribution(text))) == text


def test_colours_say_sign_and_size() -> None:
    strong, weak, none, against = drawn(attribution("a b c d", [4, 1, 0, -4]))[::2]
    assert strong["colour"] == "#a04600"
    assert against["colour"] == "#135aa3"
    assert none["colour"] == LIGHT.page
    assert weak["colour"] not in (strong["colour"], none["colour"])
    assert strong["hint"] == "a  +4"
    for piece in (strong, weak, none, against):
        assert piece["ink"] == readable(piece["colour"])
    (only, *_, last) = drawn(attribution("a b c d", [4, 1, 0, -4]), sign="positive")
    assert only["colour"] == "#a04600"
    assert last["colour"] == LIGHT.page


def test_a_large_delta_is_spoken_of() -> None:
    def note(delta: float) -> str:
        about = {"delta": delta, "baseline_score": 0.0, "settings": {"n_steps": 50}}
        (row,) = texts.rows([attribution("a b", **about)], {})
        found: str = row["note"]
        return found

    assert note(0.5).endswith("delta +0.5: more steps are needed (Settings)")
    assert note(0.05).endswith("delta +0.05")


@pytest.mark.parametrize(
    "background", ["#ffffff", "#a04600", "#135aa3", "#101215", "#ffb066", "#328a83", "#777777"]
)
def test_writing_can_be_read_on_every_colour(background: str) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(background), luminance(readable(background))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA


def test_one_scale_for_one_unit() -> None:
    big, small = attribution("a", [10.0]), attribution("a", [1.0])
    other = attribution("a", [1.0], unit="gradient", signed=False)
    assert texts.limits([big, small, other], "word", True, True) == [10, 10, 1]
    assert texts.limits([big, small, other], "word", True, False) == [10, 1, 1]


def test_special_tokens_do_not_dim_the_words() -> None:
    one = attribution("[CLS] a b", [9.0, 1.0, -2.0], special=(True, False, False))
    assert texts.limits([one], "word", True, True) == [2]
    (row,) = texts.rows([one], {})
    colours = {piece["text"]: piece["colour"] for piece in row["pieces"] if piece.get("colour")}
    assert colours["b"] == "#135aa3"
    assert colours["special tokens"] == "#a04600"  # beyond the end of the scale


def test_html_holds_the_text_as_text() -> None:
    page = file(attribution(EVIL), "html").decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "script-src" not in page  # nothing may run
    (about,) = re.findall(r'<script type="application/json" id="fluoroscope">(.*?)</script>', page)
    assert json.loads(about)["example"] == "t.txt"


def test_latex_escapes_what_means_something_there() -> None:
    source = file(attribution(EVIL + " 50% of $x_1^2$ #1 ~ {a}"), "tex").decode()
    body = source.partition("\\begingroup")[2]
    assert "\\textbackslash{}input\\{x\\}" in body
    for bare in (r"(?<!\\)%", r"(?<!\\)\$", r"(?<!\\)#", r"(?<!\\)_", r"(?<!\\)&"):
        assert not re.search(bare, body), bare
    assert source.startswith("% fluoroscope {")


def test_latex_can_break_a_sentence_across_lines() -> None:
    one = attribution('It was -- as they say -- `fine\'.\nReally "so"!')
    rows = texts.rows([one], {}, level="sentence")
    body = textexport.as_latex(rows, []).partition("\\begingroup")[2]
    boxes = re.findall(r"\\colorbox\[HTML\]\{\w{6}\}\{\\strut\\textcolor\[HTML\]\{\w{6}\}", body)
    assert len(boxes) == len(one.axis.text.split())  # type: ignore[union-attr]
    assert "-{}-{}" in body
    assert "--" not in body
    assert "\\textasciigrave{}fine'{}" in body
    assert body.count("{\\ttfamily\\char34}") == 2
    assert body.count("\\\\\n") == 2  # after the title, and where the text has a new line


@needs_browser
def test_svg_has_every_word_in_its_place() -> None:
    text = "short words and سيئ جدا and Ünïcödé " + "again " * 40
    root = ElementTree.fromstring(file(attribution(text), "svg"))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    words = [node for node in root.iter(f"{space}text") if node.text in text.split()]
    assert [node.text for node in words] == text.split()
    width = float(root.attrib["width"])
    assert all(0 <= float(node.attrib["x"]) <= width for node in words)
    assert len({node.attrib["y"] for node in words}) > 2, "the lines are broken"
    assert {n.attrib["direction"] for n in words if n.text == "سيئ"} == {"rtl"}
    fills = {node.attrib["fill"] for node in root.iter(f"{space}rect")}
    assert {"rgb(160, 70, 0)", "rgb(19, 90, 163)"} <= fills
    assert root.find(f"{space}metadata") is not None


@needs_browser
def test_pdf_can_be_searched() -> None:
    pypdf = pytest.importorskip("pypdf")
    data = file(attribution("a wonderful film"), "pdf")
    reader = pypdf.PdfReader(io.BytesIO(data))
    assert "wonderful" in reader.pages[0].extract_text()
    assert b"%fluoroscope {" in data


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_is_set(tmp_path: Path) -> None:
    body = file(attribution(EVIL), "tex").decode()
    head = "\\documentclass{article}\\usepackage[table]{xcolor}\\begin{document}"
    page = f"{head}{body}\\end{{document}}"
    (tmp_path / "a.tex").write_text(page)
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
