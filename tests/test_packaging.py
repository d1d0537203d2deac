"""The wheel that people install: complete, consistent, and without need of the extras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sample_models import MODELS, TABLE_MODELS, TEXT_MODELS

ROOT = Path(__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OPTIONAL = ("transformers", "timm", "torchvision", "ray", "efficientnet_lite_pytorch")


def run(*command: str | Path, **environment: str) -> str:
    """What a command prints; fails with all it said when it ends badly."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        cwd=Path(sys.prefix),  # not the checkout: its packages must not be found by chance
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("core", "dashboard", "sample_models", "assets"):
        shutil.copytree(ROOT / name, copy / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, copy)
    (built,) = folder.glob("*.whl")
    return built


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel; what it depends on is borrowed from this one."""

    prefix: Path

    def python(self, *arguments: str) -> str:
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        return run(
            self.prefix / "bin" / "python",
            *arguments,
            PYTHONPATH=packages,
            PYTHONDONTWRITEBYTECODE="1",
            FLUOROSCOPE_WORKSPACE=str(self.prefix / "workspace"),  # without what others brought
        )

    def listing(self, what: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(
            self.python(str(self.prefix / "bin" / "fluoroscope"), "list", what, "--json")
        )
        return rows


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    prefix = tmp_path_factory.mktemp("installed")
    venv.create(prefix, with_pip=False, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "--python", prefix / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    return Installed(prefix)


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    expected = {
        str(path.relative_to(ROOT))
        for name in ("core", "dashboard", "sample_models")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - packed == set()
    for kind in ("card.json", "model.safetensors", "heldout.npz"):
        assert f"sample_models/weights/digits_cnn/{kind}" in packed
    assert {name.partition("/")[0] for name in packed if not name.startswith("fluoroscope-")} == {
        "core",
        "dashboard",
        "sample_models",
    }


def test_version_is_the_same_everywhere(wheel: Path, installed: Installed) -> None:
    version = DECLARED["project"]["version"]
    assert wheel.name == f"fluoroscope-{version}-py3-none-any.whl"
    code = "from core.provenance import versions; print(dict(versions())['fluoroscope'])"
    assert installed.python("-c", code).strip() == version


def test_code_is_found_in_the_installation(installed: Installed) -> None:
    code = "import core, dashboard, sample_models as s; print(core.__file__, s.__file__)"
    for path in installed.python("-c", code).split():
        assert Path(path).is_relative_to(installed.prefix)


def test_models_are_announced(installed: Installed) -> None:
    announced = [row["name"] for row in installed.listing("models")]
    assert announced == [*MODELS, *TEXT_MODELS, *TABLE_MODELS]


def test_examples_are_announced_and_come_along(installed: Installed) -> None:
    examples = installed.listing("examples")
    index = json.loads((ROOT / "assets/examples/index.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in examples] == [entry["file"] for entry in index]
    for row in examples:
        path = Path(row["path"])
        assert path.is_relative_to(installed.prefix)
        assert path.read_bytes() == (ROOT / "assets/examples" / path.name).read_bytes()


def test_works_without_any_extra(installed: Installed) -> None:
    code = f"""
import sys
for name in {OPTIONAL!r}:
    sys.modules[name] = None  # importing it raises ImportError
import numpy
from core.models.catalogue import catalogue, reference
from core.models.loader import load
from core.models.predict import predict
from core.attribution import compute
from core.progress import Meter
from core.tasks import Example
from pathlib import Path
model = load(reference("digits_cnn"), "cpu")
picture = Example("digit.png", Path({str(ROOT / "assets/examples/digit-3.png")!r}).read_bytes())
(answer,) = predict(model, [picture], {{}}, 0, Meter())
print(int(answer.logits.argmax()))
"""
    assert installed.python("-c", code).strip() == "3"


def test_extras_are_not_among_the_requirements() -> None:
    required = {name.partition(">")[0].strip() for name in DECLARED["project"]["dependencies"]}
    assert required.isdisjoint({"transformers", "timm", "torchvision", "ray"})


def test_constraints_name_every_declared_package_at_one_version() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(one.name): str(one.specifier) for one in pinned}
    assert len(versions) == len(pinned)
    assert all(version.startswith("==") and "+" not in version for version in versions.values())
    project = DECLARED["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(name for extra in extras for name in extra)]
    for requirement in map(Requirement, asked):
        version = versions[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version), requirement
    assert np.__version__ == versions["numpy"].removeprefix("==")
