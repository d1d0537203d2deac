"""Folders of the transformers library as models: made here from tiny configurations."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.attention.compute import attention
from core.attribution.compute import attribute
from core.errors import BadModel, UnknownName
from core.models.catalogue import card, reference
from core.models.huggingface import apart
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.progress import Meter
from core.tasks import Example, Task
from tests.indoors import admit_here

transformers = pytest.importorskip("transformers")

WORDS = ["the", "film", "was", "good", "but", "too", "long", "and", "i", "slept", ".", ",", "!"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SMALL = {"vocab_size": len(SPECIAL) + len(WORDS), "hidden_size": 16, "num_hidden_layers": 2}
TEXT = Example("review.txt", b"The film was good, but too long.")


@pytest.fixture(autouse=True)
def indoors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are opened in this process."""
    admit_here(monkeypatch)


def tokenizer(folder: Path, cls: bool = True) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(models.WordLevel(words, SPECIAL[1]))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if cls:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    names = zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True)
    named = {f"{name}_token": token for name, token in names} | {"eos_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, **named).save_pretrained(folder)


def bert(**changes: Any) -> Any:
    about = {**SMALL, "num_attention_heads": 4, "intermediate_size": 32, **changes}
    labels = {"id2label": {0: "bad", 1: "so so", 2: "good"}}
    config = transformers.BertConfig(max_position_embeddings=20, **about, **labels)
    return transformers.BertForSequenceClassification(config)


def gpt() -> Any:
    config = transformers.GPT2Config(
        vocab_size=SMALL["vocab_size"], n_embd=16, n_layer=2, n_head=2, n_positions=24,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=SMALL["vocab_size"], d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=3,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def vit() -> Any:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, num_labels=3,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


MODELS = {"bert": bert, "gpt": gpt, "t5": t5, "vit": vit}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One saved folder of each kind."""
    found = {}
    for name, make in MODELS.items():
        torch.manual_seed(3)
        found[name] = tmp_path_factory.mktemp(name)
        make().save_pretrained(found[name])
        if name == "vit":
            about = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3}
            (found[name] / "preprocessor_config.json").write_text(json.dumps(about))
        else:
            tokenizer(found[name], cls=name != "gpt")
    return found


def loaded(folder: Path) -> LoadedModel:
    return load(reference(f"hf:{folder}"), "cpu")


def copied(folder: Path, tmp_path: Path) -> Path:
    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    return place


def test_cards_are_made_from_the_configuration(folders: dict[str, Path]) -> None:
    tasks = {
        "bert": Task.TEXT_CLASSIFICATION,
        "gpt": Task.CAUSAL_LANGUAGE_MODEL,
        "t5": Task.TRANSLATION,
        "vit": Task.IMAGE_CLASSIFICATION,
    }
    for name, task in tasks.items():
        about = card(f"hf:{folders[name]}")
        assert about.task is task
        assert about.raw["parameters"] == sum(p.numel() for p in MODELS[name]().parameters())
    assert card(str(folders["bert"])).classes == ("bad", "so so", "good")


def test_processors_that_cannot_be_are_told(folders: dict[str, Path], tmp_path: Path) -> None:
    place = copied(folders["vit"], tmp_path)
    for about, said in (
        ({"size": "big"}, "says height is 'big'"),
        ({"size": {"height": 10**9, "width": 32}}, "says height is 1000000000"),
        ({"size": 32, "image_mean": "grey"}, "says mean is 'grey'"),
        ({"size": 32, "image_std": [0, 1, 1]}, "says std is"),
        ({"size": 32, "image_mean": [0.5]}, "says std is"),
    ):
        (place / "preprocessor_config.json").write_text(json.dumps(about))
        with pytest.raises(BadModel, match=said):
            card(f"hf:{place}")


def test_names_of_classes_are_short_lines(folders: dict[str, Path], tmp_path: Path) -> None:
    place = copied(folders["vit"], tmp_path)
    config = json.loads((place / "config.json").read_bytes())
    config["id2label"] = {"0": "a" * 10**5, "1": "two\nlines", "2": ""}
    (place / "config.json").write_text(json.dumps(config))
    assert card(f"hf:{place}").classes == ("a" * 200, "two lines", "LABEL_2")
    config["id2label"] = {"0": "crane", "1": "a", "2": "crane"}
    (place / "config.json").write_text(json.dumps(config))
    assert card(f"hf:{place}").classes == ("crane (0)", "a", "crane (2)")
    assert apart(["a", "a (2)", "a"]) == ("a (0)", "a (2)", "a (2)'")
    config["id2label"] = {"0": "a", "9" * 5000: "b", "2": "c"}
    (place / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadModel, match="numbers that no class has"):
        card(f"hf:{place}")


def test_the_answer_is_the_librarys(folders: dict[str, Path]) -> None:
    model = loaded(folders["bert"])
    (found,) = predict(model, [TEXT], {}, 0, Meter())
    theirs = transformers.BertForSequenceClassification.from_pretrained(folders["bert"]).eval()
    fast = transformers.AutoTokenizer.from_pretrained(folders["bert"])
    with torch.no_grad():
        expected = theirs(**fast(TEXT.data.decode(), return_tensors="pt")).logits[0]
    np.testing.assert_allclose(found.logits, expected.numpy(), atol=1e-6)
    axis = found.axis
    assert axis.pieces == (  # type: ignore[union-attr]
        "[CLS]", "The", "film", "was", "good", ",", "but", "too", "long", ".", "[SEP]",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["bert", "gpt", "t5"])
def test_gradients_and_attention_of_every_kind(folders: dict[str, Path], name: str) -> None:
    """Integrated gradients are complete, and every head of a model on sdpa is seen."""
    model = loaded(folders[name])
    parameters = {"method": "integrated_gradients", "settings": {"n_steps": 400}}
    (found,) = attribute(model, [TEXT], parameters, 0, Meter())
    assert found.baseline_score is not None
    far = abs(found.score - found.baseline_score)
    assert found.delta == pytest.approx(0, abs=1e-3 * (1 + far))
    assert np.abs(found.values).max() > 0
    (maps,) = attention(model, [TEXT], {"layers": "all"}, 0, Meter())
    roles = {"bert": ["encoder"] * 2, "gpt": ["decoder"] * 2}
    roles["t5"] = ["encoder"] * 2 + ["decoder", "cross"] * 2
    assert [layer.role for layer in maps.layers] == roles[name]
    for weights in maps.maps:
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_attention_equals_that_of_the_eager_library(folders: dict[str, Path]) -> None:
    (maps,) = attention(loaded(folders["bert"]), [TEXT], {"layers": "all"}, 0, Meter())
    theirs = transformers.BertForSequenceClassification.from_pretrained(
        folders["bert"], attn_implementation="eager"
    ).eval()
    fast = transformers.AutoTokenizer.from_pretrained(folders["bert"])
    with torch.no_grad():
        answer = theirs(**fast(TEXT.data.decode(), return_tensors="pt"), output_attentions=True)
    for ours, expected in zip(maps.maps, answer.attentions, strict=True):
        np.testing.assert_allclose(ours, expected[0].numpy(), atol=1e-5)


def test_what_a_language_model_writes_is_greedy(folders: dict[str, Path]) -> None:
    model = loaded(folders["gpt"])
    (found,) = predict(model, [Example("p", b"the film was")], {}, 0, Meter())
    fast = transformers.AutoTokenizer.from_pretrained(folders["gpt"])
    ids = fast("the film was")["input_ids"]
    network = transformers.GPT2LMHeadModel.from_pretrained(folders["gpt"]).eval()
    spoken: list[int] = []
    for _ in range(len(found.classes) - 1):
        with torch.no_grad():
            best = network(torch.tensor([ids + spoken])).logits[0, -1].argmax()
        spoken.append(int(best))
    with torch.no_grad():
        chances = network(torch.tensor([ids + spoken])).logits[0].log_softmax(-1)
    expected = [float(chances[len(ids) - 1 + i, token]) for i, token in enumerate(spoken)]
    np.testing.assert_allclose(found.logits[:-1], expected, atol=1e-5)
    assert found.logits[-1] == pytest.approx(sum(expected), abs=1e-4)


def test_a_picture_is_classified(folders: dict[str, Path]) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (200, 30, 30)).save(buffer, "PNG")
    model = loaded(folders["vit"])
    (found,) = predict(model, [Example("red.png", buffer.getvalue())], {}, 0, Meter())
    assert found.classes == ("LABEL_0", "LABEL_1", "LABEL_2")
    pixels = torch.tensor([200, 30, 30]).float()[None, :, None, None].expand(1, 3, 32, 32) / 255
    theirs = transformers.ViTForImageClassification.from_pretrained(folders["vit"]).eval()
    with torch.no_grad():
        expected = theirs(pixel_values=(pixels - 0.5) / 0.5).logits[0]
    np.testing.assert_allclose(found.logits, expected.numpy(), atol=1e-5)


def test_too_long_a_text_is_cut_and_says_so(folders: dict[str, Path]) -> None:
    long = Example("long.txt", b"good film " * 30)
    (found,) = predict(loaded(folders["bert"]), [long], {}, 0, Meter())
    assert found.notes == ("42 of 62 tokens were cut at the end: the model takes 20.",)


def test_a_missing_head_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """The library would make up random weights."""
    place = copied(folders["bert"], tmp_path)
    bert().bert.save_pretrained(place)
    about = json.loads((place / "config.json").read_bytes())
    about["architectures"] = ["BertForSequenceClassification"]
    (place / "config.json").write_text(json.dumps(about))
    with pytest.raises(BadModel, match="do not fit: missing classifier"):
        loaded(place)


def test_a_tokenizer_that_does_not_fit_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    place = copied(folders["bert"], tmp_path)
    bert(vocab_size=8).save_pretrained(place)
    with pytest.raises(BadModel, match="does not fit the model: it knows 18 tokens, the model 8"):
        loaded(place)


def test_a_token_beyond_the_embedding_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """There may be few tokens, and one of them far behind the last row."""
    place = copied(folders["bert"], tmp_path)
    about = json.loads((place / "tokenizer.json").read_bytes())
    about["model"]["vocab"]["good"] = 10**6
    (place / "tokenizer.json").write_text(json.dumps(about))
    with pytest.raises(BadModel, match="it knows 1,000,001 tokens"):
        loaded(place)


def test_no_tokenizer_no_pickle_no_foreign_code(folders: dict[str, Path], tmp_path: Path) -> None:
    place = copied(folders["bert"], tmp_path)
    for path in place.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(BadModel, match="has no tokenizer"):
        card(f"hf:{place}")
    tokenizer(place)
    about = json.loads((place / "config.json").read_bytes())
    evil = tmp_path / "touched"
    about |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig",
              "AutoModelForSequenceClassification": "evil.Evil"}}  # fmt: skip
    (place / "config.json").write_text(json.dumps(about))
    (place / "evil.py").write_text(f"open({str(evil)!r}, 'w')")
    with pytest.raises(BadModel, match=r"does not know without code of its own; that is not run"):
        loaded(place)
    assert not evil.exists()
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(BadModel, match=r"are pytorch_model\.bin, which only unpickling could read"):
        card(f"hf:{place}")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("hf:/no/such/folder", UnknownName, "There is no folder"),
        ("hf:", UnknownName, "There is no folder"),
        ("hf:nobody-here/no-such-model-at-all", BadModel, "cannot be fetched"),
    ],
)
def test_names_that_mean_nothing(
    name: str, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(error, match=words):
        card(name)


def test_other_kinds_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    place = copied(folders["bert"], tmp_path)
    about = json.loads((place / "config.json").read_bytes())
    (place / "config.json").write_text(json.dumps(about | {"architectures": ["BertModel"]}))
    with pytest.raises(BadModel, match="holds BertModel"):
        card(f"hf:{place}")
    (place / "config.json").write_text("{")
    with pytest.raises(BadModel, match=r"'config\.json' is no JSON, or it is cut off"):
        card(f"hf:{place}")


def test_a_smaller_one_is_asked_with_the_same_tokenizer(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    from core.compression.made import compress

    model = loaded(folders["bert"])
    asked = {"steps": [{"method": "bf16"}], "out": str(tmp_path / "small")}
    name = compress(model, (), asked, 0, Meter())
    small = load(reference(name), "cpu")
    assert small.card.raw["of"] == model.ref.name
    (found,), (before,) = (predict(each, (TEXT,), {}, 0, Meter()) for each in (small, model))
    assert found.logits.tolist() == pytest.approx(before.logits.tolist(), abs=0.02)


def test_what_was_fetched_from_the_hub_comes_by_the_same_door(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the hub's own library keeps it: links to files by their digest, in a store beside."""
    from huggingface_hub import constants

    from core.models import huggingface
    from core.models.formats import admitted

    home = tmp_path / "models--somebody--net"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("abc")
    (home / "blobs").mkdir()
    (home / "snapshots" / "abc").mkdir(parents=True)
    for number, each in enumerate(sorted(folders["bert"].iterdir())):
        data = each.read_bytes()
        if each.name == "config.json":
            data = json.dumps(json.loads(data) | {"auto_map": {"AutoModel": "m.Net"}}).encode()
        (home / "blobs" / str(number)).write_bytes(data)
        (home / "snapshots" / "abc" / each.name).symlink_to(f"../../blobs/{number}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = load(reference("hf:somebody/net"), "cpu")
    (found,), (same,) = (
        predict(each, (TEXT,), {}, 0, Meter()) for each in (model, loaded(folders["bert"]))
    )
    assert found.logits.tolist() == same.logits.tolist()
    assert admitted.notes(huggingface.named("hf:somebody/net")) == (
        "'auto_map' of config.json is not obeyed: no code is run",
    )
    (home / "blobs" / "0").rename(tmp_path / "elsewhere")
    linked = home / "snapshots" / "abc" / sorted(each.name for each in folders["bert"].iterdir())[0]
    linked.unlink()
    linked.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadModel, match="is a link that leads out of it"):
        card("hf:somebody/net")
