"""What the README says is so: methods, models, commands, the notebook's lines."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from core.attribution.registry import METHODS, methods
from core.models.catalogue import catalogue
from core.training.recipe import recipes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def methods_table() -> str:
    """The table of methods as the README shows it."""
    lines = ["| Name | Method | Family | Signed | Complete | Source |", "|---|---|---|---|---|---|"]
    for method in METHODS:
        marks = ("yes" if is_so else "" for is_so in (method.signed, method.complete))
        cells = [f"`{method.name}`", method.title, method.family, *marks, method.reference]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(line.replace("|  |", "| |") for line in lines)


def test_methods_table_is_the_registrys() -> None:
    assert methods_table() in README, f"put this table into README.md:\n{methods_table()}"


def test_every_model_is_listed_with_what_it_reaches() -> None:
    section = README.partition("## Models")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.* ([\d.]+) (%|BLEU|perplexity).*\|$", section, re.MULTILINE)
    listed = {name: (float(number), unit) for name, number, unit in rows}
    for name, card in catalogue().items():
        number, unit = listed[name]
        measured = card.raw["metrics"]
        expected = 100 * measured["accuracy"] if unit == "%" else measured[unit.lower()]
        assert number == pytest.approx(expected, abs=0.05)


def test_every_file_and_link_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_commands_name_what_exists() -> None:
    joined = README.replace("\\\n", " ")
    commands = re.findall(
        r"^fluoroscope (attribute|attention|flip|translate) (.+)$", joined, re.MULTILINE
    )
    assert {verb for verb, _ in commands} == {"attribute", "attention", "flip", "translate"}
    for verb, command in commands:
        model, *rest = shlex.split(command, comments=True)
        known = {method.name for method in methods(catalogue()[model].task.axis)}
        options = list(itertools.pairwise(rest))
        for flag, value in [("", rest[0]), *options]:
            if flag == "--file" or value.startswith("assets"):
                assert (ROOT / value).is_file()
        named = {value for flag, value in options if flag == "--method"}
        assert named <= known
        assert bool(named) is (verb == "attribute")


def test_notebook_lines_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own README
    assert names["attribution"].values.shape == (1, 28, 28)  # type: ignore[attr-defined]


def test_recipes_are_listed_and_commands_train_what_exists() -> None:
    section = README.partition("## Training")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert set(recipes()) <= named
    for command in re.findall(r"^fluoroscope train (\w+)", README, re.MULTILINE):
        assert command in recipes()
