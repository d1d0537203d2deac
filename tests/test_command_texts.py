"""Texts on the command line: what is shown and written, and how a bad text is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import toy_sequences

import core
from core.models.predict import predict
from core.progress import Meter
from core.results.levels import at_level
from core.tasks import OTHER_OUTPUT, WHOLE_OUTPUT, Tokens
from dashboard import cli
from dashboard.commands import attention, words

TEXT = "A fast viewer for photographs. It plays music files 東京 too, and downloads news"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["fluoroscope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def values(line: str) -> list[float]:
    return [float(cell) for cell in line.split() if cell[0] in "+-" and cell[1:2].isdigit()]


@pytest.mark.parametrize("level", ["token", "word", "sentence"])
def test_the_table_shows_what_was_computed(capsys: pytest.CaptureFixture[str], level: str) -> None:
    status, output, errors = run(
        capsys, "attribute", "text_rnn", "--text", TEXT, "--method", "input_x_gradient",
        "--target", "top3", "--level", level,
    )  # fmt: skip
    assert (status, errors) == (0, "")
    ref = core.reference("text_rnn")
    found = core.attribute(ref, [core.text(TEXT)], "input_x_gradient", target="top3")
    axis = found[0].axis
    assert isinstance(axis, Tokens)
    groups = at_level(axis, np.stack([each.values for each in found]), level)
    answer, title, head, *rows = output.strip().splitlines()
    (prediction,) = core.predict(ref, [core.text(TEXT)])
    best = prediction.classes[prediction.top(1)[0]]
    assert answer.startswith(f"text: {best} {prediction.probabilities.max():.3g}")
    assert title == "Input × gradient, logits"
    assert head.split() == [each.target.title for each in found]
    assert len(rows) == len(groups.labels)
    for row, label, expected in zip(rows, groups.labels, groups.values.T, strict=True):
        assert row.startswith(label[:8])
        np.testing.assert_allclose(values(row), expected, atol=5.1e-5)


def test_files_hold_the_whole_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text(f"\ufeff{TEXT}", encoding="utf-16-le")
    out = tmp_path / "out"
    status, output, _ = run(
        capsys, "attribute", "text_rnn", tmp_path / "story.txt", "--text", "music player",
        "--method", "integrated_gradients", "--set", "n_steps=10", "--method", "saliency",
        "--format", "json,npz,html,plotly.json,tex", "--out", out,
    )  # fmt: skip
    assert status == 0
    names = {path.name for path in out.iterdir()}
    assert len(names) == 20
    assert {Path(line).name for line in output.splitlines() if line.startswith(str(out))} == names
    with np.load(out / "story.integrated_gradients.npz", allow_pickle=False) as arrays:
        stored = arrays["values"]
    (same,) = core.attribute(
        core.reference("text_rnn"), [core.text(TEXT)], "integrated_gradients", n_steps=10
    )
    np.testing.assert_allclose(stored, same.values, atol=1e-5)
    page = (out / "story.saliency.html").read_text(encoding="utf-8")
    assert "東" in page
    assert "Saliency · " in page
    assert r"\textbf{" in (out / "story.saliency.tex").read_text(encoding="utf-8")
    told = json.loads((out / "text.saliency.json").read_text())
    assert told["example"] == "text"
    assert [word["text"] for word in told["words"]] == ["music", "player"]
    assert sum(word["value"] for word in told["words"]) == pytest.approx(told["sum"])
    for word in told["words"]:
        assert told["text"][word["start"] : word["end"]] == word["text"]
    assert told["prediction"][0]["class"] == "sound"


def test_rows_of_a_table_are_texts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text('id,review\n1,"music player, loud"\n2,\n3,a game of chess\n', encoding="utf-8")
    status, output, errors = run(
        capsys, "attribute", "text_rnn", "--file", table, "--method", "saliency",
        "--format", "json", "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 0
    assert "reviews-1: sound" in output
    assert "reviews-3: games" in output
    assert "1 of 3 rows have no text" in errors
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "reviews-1.saliency.json",
        "reviews-3.saliency.json",
    ]
    status, output, errors = run(
        capsys, "attribute", "text_rnn", table, "--column", "words", "--method", "saliency"
    )
    assert (status, output) == (2, "")
    assert "no column 'words'. Its columns are" in errors


def test_two_outputs_are_contrasted(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(
        capsys, "attribute", "translator", "--text", "he went up the mountain",
        "--output", "subió al monte", "--output", "bajó al monte", "--method", "input_x_gradient",
    )  # fmt: skip
    assert status == 0
    assert "text → subió al monte" in output
    assert "text → bajó al monte" in output
    assert "whole output − other output" in output
    assert "output: subió" in output
    assert "other: bajó" in output


def test_translations_are_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "verse.txt").write_text("And God said, Let there be light.")
    status, output, errors = run(
        capsys, "translate", "translator", tmp_path / "verse.txt", "he went up the mountain"
    )
    assert (status, errors) == (0, "")
    first, second = output.splitlines()
    status, text, _ = run(capsys, "translate", "translator", tmp_path / "verse.txt", "--json")
    (row,) = json.loads(text)
    assert row["text"] == first != second
    (same,) = core.produce(
        core.reference("translator"), [core.open_example(tmp_path / "verse.txt")]
    )
    assert row["tokens"] == list(same.tokens)
    np.testing.assert_allclose(row["probabilities"], same.probabilities, atol=1e-6)


def test_what_was_cut_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = "music " + "viewer " * 1200 + "news"
    for cut in ("start", "middle", "end"):
        status, output, errors = run(
            capsys, "attribute", "text_rnn", "--text", text, "--cut", cut, "--method", "saliency"
        )
        assert status == 0
        assert errors == (
            f"text: 202 of 1,202 tokens were cut at the {cut}: the model takes 1,000.\n"
        )
        lines = output.strip().splitlines()[3:]
        assert lines[0].startswith("music") is (cut != "start")
        assert lines[-1].startswith("news") is (cut != "end")


def test_the_fewest_words_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = "A fast viewer for photographs. It plays music files too, and downloads news"
    status, output, errors = run(capsys, "flip", "text_rnn", text)
    assert (status, errors) == (0, "")
    before, change, after, left, _ = output.split("\n", 4)
    assert before.startswith("text: sound")
    assert change == "without 'music' (1 word; no smaller set does it)"
    assert left == text.replace("music ", "")
    (prediction,) = core.predict(core.reference("text_rnn"), [core.text(left)])
    assert after.startswith(f"text: {prediction.classes[prediction.top(1)[0]]} ")
    status, said, _ = run(
        capsys, "flip", "text_rnn", text, "--set", "replacement=mask", "--to", "network", "--json"
    )
    (row,) = json.loads(said)
    assert (row["before"], row["after"]) == ("sound", "network")
    assert [text[start:end] for start, end in row["spans"]] == row["words"]


def test_attention_is_told_and_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, output, errors = run(
        capsys, "attention", "translator", "he went up the mountain", "--layers", "0,4",
        "--format", "json,npz,plotly.json", "--out", tmp_path,
    )  # fmt: skip
    assert (status, errors) == (0, "")
    assert "encoder.layers.0.self_attn" in output
    assert output.strip().splitlines()[-1] == attention.CAVEAT
    told = json.loads((tmp_path / "text.layers.json").read_text())["results"][0]
    assert [layer["role"] for layer in told["layers"]] == ["encoder", "cross"]
    with np.load(tmp_path / "text.layers.npz", allow_pickle=False) as arrays:
        maps = [value for name, value in arrays.items() if name.startswith("maps")]
    assert len(maps) == 2
    for values_of_layer, layer in zip(maps, told["layers"], strict=True):
        queries, keys = (len(told[side][layer["role"]]["labels"]) for side in ("queries", "keys"))
        assert values_of_layer.shape == (layer["heads"], queries, keys)
        np.testing.assert_allclose(values_of_layer.sum(axis=-1), 1, atol=1e-5)
    names = {f"text.{kind}.{end}" for kind in ("attention", "layers") for end in ("json", "npz")}
    heads = {f"text.layer-{n}.head-{head}.plotly.json" for n in (0, 4) for head in range(4)}
    assert {path.name for path in tmp_path.iterdir()} == {
        *names, *heads, "text.attention.plotly.json",
    }  # fmt: skip


@pytest.mark.parametrize("outputs", [("c", "d"), ("cat", "d"), ("c", "dog"), ("c\nat", "do\ng")])
def test_each_output_is_told_with_its_probability(outputs: tuple[str, str]) -> None:
    model, asked = toy_sequences.small_lm(), toy_sequences.text("see ", *outputs)
    (prediction,) = predict(model, [asked], {}, 0, Meter())
    first, second = words.answer(prediction).splitlines()
    assert f" → {outputs[0].replace(chr(10), ' ')}  " in first
    assert f" → {outputs[1].replace(chr(10), ' ')}  " in second
    for line, column in ((first, WHOLE_OUTPUT), (second, OTHER_OUTPUT)):
        chance = prediction.probabilities[prediction.classes.index(column)]
        assert float(line.rsplit(maxsplit=1)[1]) == pytest.approx(float(chance), rel=5e-3)


ATTRIBUTE = ["attribute", "text_rnn", "--method", "saliency"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([*ATTRIBUTE], "nothing to explain"),
        ([*ATTRIBUTE, "--text", ""], "empty"),
        ([*ATTRIBUTE, "--text", " \n\t"], "only spaces"),
        ([*ATTRIBUTE, "--text", "12 34 !?"], "nothing that the model knows as text"),
        ([*ATTRIBUTE, "--text", "a \x1b[31m b"], "control code U+001B"),
        ([*ATTRIBUTE, "--text", "caf\udce9"], "not UTF-8 text: byte 3"),
        ([*ATTRIBUTE, "--text", "x" * 5_000_000], "5,000,000 bytes"),
        ([*ATTRIBUTE, "nowhere.txt"], "cannot be read"),
        ([*ATTRIBUTE, "nowhere.csv"], "no file"),
        ([*ATTRIBUTE, "--text", "a", "--level", "letter"], "Known: token, word, sentence"),
        ([*ATTRIBUTE, "--text", "a", "--cut", "top"], "start, middle, end"),
        ([*ATTRIBUTE, "--text", "a", "--output", "b"], "writes nothing"),
        ([*ATTRIBUTE, "--text", "a", "--method", "grad_cam"], "no method 'grad_cam'"),
        (["attribute", "digits_cnn", "--method", "saliency", "--text", "a"], "does not read texts"),
        (["attribute", "digits_cnn", "--method", "saliency"], "Name an image file"),
        (
            [
                "attribute",
                "translator",
                "--method",
                "saliency",
                "--text",
                "a",
                *["--output", "b"] * 3,
            ],
            "given 3 times",
        ),
        (["translate", "translator", "missing.txt"], "no file 'missing.txt'"),
        (["translate", "translator", "tests"], "no file 'tests'"),
        (["translate", "translator", ""], "empty"),
        (["translate", "text_rnn", "a"], "expected one for translation"),
        (["flip", "translator", "a"], "does not tell classes of texts apart"),
        (["flip", "text_rnn", "music", "--to", "musik"], "no class 'musik'"),
        (["flip", "text_rnn", "music", "--set", "most=0"], "from 10"),
        (["attention", "text_rnn", "a"], "has no attention"),
        (["attention", "translator", "a", "--layers", "0"], "Add --out"),
        (["attention", "digits_cnn", "a"], "cannot be read"),
        (["generate", "translator", "a"], "expected one for causal language model"),
    ],
)
def test_a_mistake_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    status, output, errors = run(capsys, *arguments)
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert word in errors
    assert len(errors) < 400


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"a\0b", "null byte"),
        (b"abc\xff\xfe", "byte 3"),
        ("hällo".encode("utf-16")[:-1], "not UTF-16"),
        (b"x" * 5_000_000, "5,000,000 bytes"),
    ],
)
def test_a_hostile_file_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes, word: str
) -> None:
    (tmp_path / "bad.txt").write_bytes(data)
    status, output, errors = run(capsys, *ATTRIBUTE, tmp_path / "bad.txt")
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert "'bad.txt'" in errors
    assert word in errors


def test_a_terminal_obeys_nothing_in_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    text = "music <script>alert(1)</script>\u202eoverride\u2028 viewer\r\nnews"
    status, output, _ = run(
        capsys,
        "attribute",
        "text_rnn",
        "--text",
        text,
        "--method",
        "saliency",
        "--level",
        "sentence",
    )
    assert status == 0
    assert "<script>alert(1)" in output
    assert all(line.isprintable() for line in output.split("\n"))
