"""The recipes that learn from images."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import BadInput
from core.models.catalogue import resolve
from core.results.history import History
from core.training.config import Config
from core.training.events import EventLog
from core.training.loop import train, trainable
from core.training.recipe import recipe
from core.training.run import Run
from core.training.trainable import Trainable
from sample_models import data, pretraining_study, shipping
from sample_models.augmentation import Augmentation
from sample_models.autoencoder import PATCH, anomaly_score, hidden, masked_loss, patches_missing
from sample_models.hierarchical import HierarchicalCNN, stage_of
from sample_models.image_recipes import RECIPES

SPLIT_RECIPES = [each.name for each in RECIPES if each.name != "hierarchical"]


def pictures(count: int, seed: int) -> data.Images:
    """Pictures of ten classes that differ in which rows are light."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = random.integers(0, 60, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 2 : 2 * label + 5] += 180
    return data.Images(images, labels)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> data.Splits:
    """Stands in for the digits and for Fashion-MNIST."""
    classes = tuple(f"kind {number}" for number in range(10))
    parts = pictures(100, 1), pictures(30, 2), pictures(20, 3)
    splits = data.Splits("small", "made up", "CC0", "", classes, *parts)
    monkeypatch.setattr(data, "digits", lambda folder=None: splits)
    monkeypatch.setattr(data, "fashion", lambda folder=None: splits)
    return splits


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders ``cat`` and ``dog`` under ``train`` and ``val``; one file is no picture."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 6)):
        for light, name in enumerate(("cat", "dog")):
            place = tmp_path / "pets" / part / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(120 * light, 120 * light + 100, (20, 24, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    (tmp_path / "pets" / "train" / "dog" / "broken.png").write_bytes(b"not a picture")
    return tmp_path / "pets"


def curves(folder: Path) -> History:
    log = EventLog(folder)
    assert log.reload()
    return log.history()


def made(name: str, **given: object) -> Trainable:
    return trainable(Config.of(name, given))


def first(of: Trainable, split: str, count: int = 8) -> Any:
    return of.splits[split].__getitems__(range(count))


def test_declarations_import_no_torch() -> None:
    program = (
        "import sys; from sample_models.image_recipes import RECIPES; "
        "print(len(RECIPES), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(len(RECIPES)), "False"]


@pytest.mark.parametrize("name", SPLIT_RECIPES)
def test_factory_and_card_give_the_network_that_is_trained(name: str, small: data.Splits) -> None:
    learned = made(name)
    network = resolve(recipe(name).factory)(**learned.card()["arguments"])
    network.load_state_dict(learned.module.state_dict(), strict=True)
    images = torch.rand(3, 1, 28, 28)
    shape = (3, 1, 28, 28) if "pretraining" in name else (3, 10)
    assert network(images).shape == shape
    torch.testing.assert_close(network.eval()(images), learned.module.eval()(images))


@pytest.mark.parametrize("name", SPLIT_RECIPES)
def test_augmentation_is_a_function_of_its_generator(name: str, small: data.Splits) -> None:
    learned = made(name, **({"augment": True} if "pretraining" not in name else {}))
    batch = first(learned, "train")
    one, same, other = (
        learned.augment(batch, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one, other)


def test_unaugmented_digits_are_the_digits(small: data.Splits) -> None:
    batch = first(made("digits_regularised", examples=50), "train")
    learned = made("digits_regularised", examples=50)
    assert learned.augment(batch, torch.Generator())[0] is batch[0]


def test_few_examples_keep_the_shares_of_the_classes(small: data.Splits) -> None:
    learned = made("digits_regularised", examples=30)
    assert np.bincount(first(learned, "train", 30)[1].numpy()).tolist() == [3] * 10
    assert [len(learned.splits[name]) for name in ("train", "val", "test")] == [30, 30, 20]
    with pytest.raises(BadInput, match="10 classes"):
        made("digits_regularised", examples=9)


def test_regularised_sweep_is_the_grid() -> None:
    sweep = recipe("digits_regularised").sweep
    assert sweep == {"dropout": (0.0, 0.25, 0.5), "weight_decay": (0.0, 1e-4, 1e-3)}


def test_dropout_is_the_setting(small: data.Splits) -> None:
    learned = made("digits_cnn", dropout=0.3)
    shares = [m.p for m in learned.module.modules() if isinstance(m, torch.nn.Dropout)]
    assert shares == [0.15, 0.3]
    assert learned.card()["arguments"] == {"dropout": 0.3, "classes": 10}


def test_epochs_are_shared_out_among_the_stages() -> None:
    assert [stage_of(epoch, 9) for epoch in range(1, 10)] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [stage_of(epoch, 5) for epoch in range(1, 6)] == [1, 2, 3, 3, 3]
    assert [stage_of(epoch, 1) for epoch in range(1, 2)] == [1]


@pytest.mark.parametrize(
    ("stage", "learns"),
    [
        (1, {"stage1", "head1"}),
        (2, {"stage2", "head2"}),
        (3, {"stage3"}),
        (0, {"stage1", "stage2", "stage3"}),
    ],
)
def test_only_the_stage_and_its_head_learn(stage: int, learns: set[str]) -> None:
    """Weights and running averages alike."""
    torch.manual_seed(0)
    network = HierarchicalCNN(4)
    network.train_stage(stage)
    network.train()
    before = copy.deepcopy(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.5)
    logits = network(torch.rand(6, 3, 20, 24))
    assert logits.shape == (6, 4)
    torch.nn.functional.cross_entropy(logits, torch.arange(6) % 4).backward()
    optimiser.step()
    moved = {
        name.split(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == learns


@pytest.mark.parametrize("stagewise", [True, False])
def test_hierarchical_network_learns_any_folder(
    folder: Path, tmp_path: Path, stagewise: bool
) -> None:
    given = {"size": 16, "stagewise": stagewise, "epochs": 6, "batch_size": 10, "threads": 1}
    run = train(Run.create(tmp_path / "run", Config.of("hierarchical", given, data=folder)))
    about = trainable(run.config)
    assert about.classes == ("cat", "dog")
    assert [text for text in about.skipped if text.startswith("train/dog/broken.png")]
    assert run.status.best_epoch >= (5 if stagewise else 1), "the whole network, not a part"
    assert run.status.stage == ("stage 3 of 3" if stagewise else "end to end")
    assert about.card()["data"]["split"] == {"train": 40, "val": 12}


@pytest.mark.parametrize("name", SPLIT_RECIPES)
def test_any_folder_will_do(name: str, folder: Path) -> None:
    learned = trainable(Config.of(name, {"examples": 30}, data=folder))
    images, labels = first(learned, "val", 12)
    assert images.shape == (12, 1, 28, 28)
    assert sorted(labels.tolist()) == [0] * 6 + [1] * 6
    assert len(learned.splits["train"]) == 30
    answer = learned.answer(learned.module, (images, labels))
    if answer.logits is not None:
        assert answer.logits.shape == (12, 2)
        assert learned.classes == ("cat", "dog")
    assert learned.card()["data"]["name"] == "pets"
    assert sorted(path.name for path in folder.iterdir()) == ["train", "val"], "nothing is added"


def test_hierarchical_network_takes_a_part_of_the_folder(folder: Path) -> None:
    config = Config.of("hierarchical", {"size": 16, "examples": 10}, data=folder)
    part = trainable(config).splits["train"]
    labels = part.__getitems__(range(10))[1]
    assert (len(part), labels.tolist()) == (10, [0] * 5 + [1] * 5)
    assert part.fingerprint() == trainable(config).splits["train"].fingerprint()


def test_patches_are_missing_as_a_whole_and_as_many_as_said() -> None:
    missing = patches_missing(torch.rand(5, 1, 28, 28), 0.6, torch.Generator().manual_seed(0))
    assert missing.shape == (5, 1, 28, 28)
    patches = missing.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).flatten(4)
    assert bool((patches.all(dim=-1) | ~patches.any(dim=-1)).all())
    assert patches.any(dim=-1).sum(dim=(1, 2, 3)).tolist() == [29] * 5  # round(0.6 × 49)


def test_only_missing_pixels_count() -> None:
    whole = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    restored = torch.tensor([[[[9.0, 2.5], [3.0, 1.0]]]])
    missing = torch.tensor([[[[False, True], [False, True]]]])
    assert masked_loss(restored, whole, missing).item() == (0.5**2 + 3**2) / 2


def test_missing_pixels_are_not_seen() -> None:
    whole = torch.rand(4, 1, 28, 28) + 0.1
    seen, counted = hidden(whole, {"masked": 0.5}, torch.Generator().manual_seed(0))
    assert bool((seen[counted] == 0).all())
    torch.testing.assert_close(seen[~counted], whole[~counted], rtol=0, atol=0)


def test_noise_is_as_strong_as_said() -> None:
    whole = torch.rand(50, 1, 28, 28)
    seen, counted = hidden(whole, {"noise": 0.3}, torch.Generator().manual_seed(0))
    assert bool(counted.all())
    assert float((seen - whole).std()) == pytest.approx(0.3, rel=0.02)
    assert float((seen - whole).mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("name", ["masked_pretraining", "denoising_pretraining"])
def test_held_out_pictures_are_judged_the_same_each_time(name: str, small: data.Splits) -> None:
    learned = made(name)
    batch = first(learned, "val")
    loss = learned.answer(learned.module, batch).loss
    assert torch.equal(learned.answer(learned.module, batch).loss, loss)
    relabelled = (batch[0], batch[1].flip(0))
    assert torch.equal(learned.answer(learned.module, relabelled).loss, loss)


@pytest.mark.parametrize("settings", [{"masked": 0.5}, {"noise": 0.4}])
def test_anomaly_score_of_a_network_that_says_nothing(settings: dict[str, float]) -> None:
    """It says 0 everywhere: a picture of one shade is off by that shade squared."""
    shades = torch.tensor([0.0, 0.3, 1.0])
    whole = shades.view(3, 1, 1, 1).expand(3, 1, 28, 28)
    found = anomaly_score(torch.nn.Threshold(1e9, 0.0), whole, settings, seed=0)
    torch.testing.assert_close(found, shades**2)


def test_study_draws_as_many_of_each_class() -> None:
    images = pictures(200, 0)
    few = pretraining_study.drawn(images, 0.1, 3)
    assert np.bincount(few.labels).tolist() == [2] * 10
    assert (few.images == pretraining_study.drawn(images, 0.1, 3).images).all()
    assert not (few.images == pretraining_study.drawn(images, 0.1, 4).images).all()


def test_study_differs_in_the_encoder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the encoder that it would have begun with, "pre-trained" is the same as from scratch."""
    from core.training.order import number, seed_all
    from sample_models.autoencoder import encoder

    monkeypatch.setattr(pretraining_study, "EPOCHS", 2)
    few, held_out = pictures(40, 0), pictures(50, 1)
    varied = Augmentation(shift=2)
    seed_all(number(5, "encoder", 0))
    known = encoder()
    before = copy.deepcopy(known.state_dict())
    scratch = pretraining_study.accuracy(None, few, held_out, varied, 1e-3, 5)
    assert pretraining_study.accuracy(known, few, held_out, varied, 1e-3, 5) == scratch
    for name, value in known.state_dict().items():
        assert torch.equal(value, before[name])


def test_anomalies_are_told_by_how_badly_they_are_restored() -> None:
    """A network that says 0 everywhere restores what is dark."""
    dark, light = pictures(20, 0), pictures(20, 1)
    dark.images[...] //= 4
    network = torch.nn.Threshold(1e9, 0.0)
    assert pretraining_study.anomaly_auroc(network, {"masked": 0.5}, dark, light) == 1.0
    assert pretraining_study.anomaly_auroc(network, {"masked": 0.5}, light, dark) == 0.0


def test_shipped_run_keeps_every_epoch_and_some_updates(small: data.Splits, tmp_path: Path) -> None:
    given = {"epochs": 2, "batch_size": 10, "threads": 1, "examples": 50}
    run = train(Run.create(tmp_path / "run", Config.of("digits_regularised", given)))
    shipping.ship(run, tmp_path / "shipped", every=5)
    shipped = Run.open(tmp_path / "shipped")
    assert (shipped.config, shipped.status) == (run.config, run.status)
    whole, thin = (curves(each.folder) for each in (run, shipped))
    for tag in ("val/accuracy", "train/loss", "epoch"):
        assert thin.scalars[tag].steps.tolist() == whole.scalars[tag].steps.tolist() == [5, 10]
    assert whole.scalars["step/loss"].steps.tolist() == list(range(1, 11))
    assert thin.scalars["step/loss"].steps.tolist() == [5, 10]
    assert thin.histograms.keys() == whole.histograms.keys() != set()
    names = {path.name for path in shipped.folder.iterdir()}
    assert {"card.json", "model.safetensors"} < names
    assert not names & {"checkpoints", "lock"}
    shipping.ship(run, tmp_path / "shipped", curves_only=True)
    assert not {path.name for path in shipped.folder.iterdir()} & {"card.json", "model.safetensors"}


def test_shipped_sweep_says_what_each_reached(small: data.Splits, tmp_path: Path) -> None:
    given = {"epochs": 1, "batch_size": 10, "threads": 1, "examples": 50}
    runs = [
        train(
            Run.create(tmp_path / f"{d}", Config.of("digits_regularised", {**given, "dropout": d}))
        )
        for d in (0.5, 0.0)
    ]
    shipping.ship_sweep(runs, tmp_path / "sweep")
    card = json.loads((tmp_path / "sweep" / "card.json").read_text())
    assert [row["dropout"] for row in card["runs"]] == [0.0, 0.5]
    assert "--set epochs=1" in card["command"]
    assert "dropout" not in card["command"]
    for run, row in zip(runs[::-1], card["runs"], strict=True):
        last = {tag: float(each.values[-1]) for tag, each in curves(run.folder).scalars.items()}
        assert row["gap"] == pytest.approx(last["val/loss"] - last["train/loss"], abs=1e-4)
        assert row["test_accuracy"] == pytest.approx(last["test/accuracy"], abs=1e-4)
    models = [path.parent.name for path in (tmp_path / "sweep").glob("*/model.safetensors")]
    best = min(runs, key=lambda run: run.status.best or 0.0)
    assert models == [f"dropout={best.config.settings['dropout']}-weight_decay=0.0"]


@pytest.mark.parametrize("top", ["", "mine/"])
def test_a_zip_of_a_folder_will_do(folder: Path, tmp_path: Path, top: str) -> None:
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w") as file:
        for each in sorted(folder.rglob("*")):
            if each.is_file():
                file.write(each, f"{top}{each.relative_to(folder).as_posix()}")
    zipped, plain = (
        trainable(Config.of("hierarchical", {"size": 16}, data=place)) for place in (path, folder)
    )
    assert zipped.classes == plain.classes
    for name, part in plain.splits.items():
        assert zipped.splits[name].fingerprint() == part.fingerprint()
    assert zipped.card()["data"]["name"] == "pets"


@pytest.mark.parametrize("names", [("all.csv",), ("d/train.csv", "d/val.csv"), ("d/e/all.csv",)])
def test_a_zip_of_tables_will_do(tmp_path: Path, names: tuple[str, ...]) -> None:
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as file:
        for name in names:
            rows = "".join(f"{x},{x * x % 7},{'ab'[x % 2]}\n" for x in range(60))
            file.writestr(name, f"x,y,label\n{rows}")
    made = trainable(Config.of("tabular_mlp", data=tmp_path / "rows.zip"))
    assert made.classes == ("a", "b")
    assert sum(len(part) for part in made.splits.values()) == 60 * len(names)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        file.writestr("../up.csv", "x,label\n1,a\n")
    with pytest.raises(BadInput, match="leads out of it"):
        trainable(Config.of("tabular_mlp", data=tmp_path / "bad.zip"))
