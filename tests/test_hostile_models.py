"""A hostile collection: payloads in every hiding place that a model may have, through the door
behind ``fluoroscope add``. Nothing runs, each gets a sentence, and nothing stays in the workspace.

All are tried in one process with an audit hook that notes what Python is about to do; what the
confined worker would do is done there too, without its own hook, which would hide a fault. Payloads
in ``.pt2`` files are in ``test_exported_clean``, those in ``.skops`` files in ``test_estimators``.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import core
from core.errors import BadModel
from core.models.exported.description import Description
from core.models.formats.door import add
from core.workspace import Workspace

ARCHITECTURE = {"name": "tabular_mlp"}
Maker = Callable[[Path], Path]


class Payload:
    """Leaves a file in the current folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('ran', 'w').close()",)


def stored(path: Path, parts: dict[str, bytes], packed: bool = False) -> Path:
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def tensors(path: Path, header: dict[str, Any] | str, data: bytes = b"", length: int = -1) -> Path:
    """A safetensors file with any header."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    size = len(text) if length < 0 else length
    return written(path, struct.pack("<Q", size) + text + data)


def at(shape: list[int], start: int, stop: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}


def saved(content: Any, **how: Any) -> Maker:
    def make(path: Path) -> Path:
        torch.save(content, path, **how)
        return path

    return make


def module_in_pt(path: Path) -> Path:
    torch.save({"model": torch.nn.Linear(2, 2), "more": Payload()}, path)
    return path


def torch_zip(path: Path) -> Path:
    """As torch writes it, with another pickle in it."""
    hidden = pickle.dumps(Payload(), protocol=2)
    return stored(path, {"x/data.pkl": hidden, "x/version": b"3\n", "x/byteorder": b"little"})


def bomb_pt(path: Path) -> Path:
    return stored(
        path, {"x/data.pkl": b"\x80\x02}.", "x/version": b"3\n", "x/data/0": bytes(10**7)}, True
    )


def legacy_tar(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(Payload())
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def legacy(path: Path) -> Path:
    torch.save({"w": Payload()}, path, _use_new_zipfile_serialization=False)
    return path


def nested(path: Path) -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("model.pkl", pickle.dumps(Payload()))
    return stored(path, {"more/inner.zip": inner.getvalue()})


def script(path: Path) -> Path:
    return stored(
        path,
        {
            "m/code/__torch__.py": b"x",
            "m/constants.pkl": pickle.dumps(Payload()),
            "m/data.pkl": b"",
        },
    )


def object_array(path: Path) -> Path:
    with path.open("wb") as file:
        np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)
    return path


def object_arrays(path: Path) -> Path:
    with path.open("wb") as file:
        np.savez(file, w=np.array([Payload()], dtype=object))
    return path


def expanded(path: Path) -> Path:
    """One number that claims to be forty billion."""
    torch.save({"w": torch.zeros(1).expand(200_000, 200_000)}, path)
    return path


def text_pickle(path: Path) -> Path:
    data = pickle.dumps(Payload(), protocol=0)
    pickletools.optimize(data)
    return written(path, data)


FILES: dict[str, tuple[str, Maker, str]] = {
    "a module in .pt": ("net.pt", module_in_pt, "more than tensors"),
    "a pickle in .pt": ("net.pt", torch_zip, "more than tensors"),
    "a pickle in .pth": ("net.pth", lambda p: written(p, pickle.dumps(Payload())), "pickle"),
    "a payload in .ckpt": (
        "net.ckpt",
        saved({"state_dict": {"w": torch.ones(2)}, "hyper_parameters": Payload()}),
        "more than tensors",
    ),
    "a legacy .pt": ("old.pt", legacy, "more than tensors"),
    "a legacy tar": ("old.tar", legacy_tar, "tar"),
    "protocol 0": ("net.bin", text_pickle, "looks like a pickle"),
    "a pickle called .safetensors": (
        "net.safetensors",
        lambda p: written(p, pickle.dumps(Payload())),
        "pickle",
    ),
    "a pickle called .onnx": ("n.onnx", lambda p: written(p, pickle.dumps(Payload(), 2)), "pickle"),
    "a zip in a zip": ("net.zip", nested, "archives in it are not opened"),
    "TorchScript": ("net.pt", script, "TorchScript"),
    "objects in .npy": ("net.npy", object_array, "array of NumPy"),
    "objects in .npz": ("net.npz", object_arrays, "zip of NumPy"),
    "joblib": ("net.joblib", lambda p: written(p, gzip.compress(pickle.dumps(Payload()))), "gzip"),
    "GGUF": ("net.gguf", lambda p: written(p, b"GGUF\3\0\0\0" + bytes(64)), "GGUF"),
    "noise": ("net.pt", lambda p: written(p, b"\x01\x02\x03" * 999), "no model of a kind"),
    "a compressed .pt": ("net.pt", bomb_pt, "zip bomb"),
    "a number that claims to be many": ("net.pt", expanded, "claims more numbers"),
    "no tensors": ("net.pt", saved({"epoch": 3, "loss": [1.0]}), "no tensors by name"),
    "a torn zip": ("net.pt", lambda p: written(p, b"PK\x03\x04" + bytes(99)), "cut off"),
    "a header longer than the file": (
        "net.safetensors",
        lambda p: tensors(p, '{"w":', length=2**40),
        "claims 1,099,511,627,776 bytes",
    ),
    "20 GB in a small header": (
        "net.safetensors",
        lambda p: tensors(p, {"w": at([5_000_000_000], 0, 20_000_000_000)}),
        "claim 20,000,000,000 bytes",
    ),
    "a shape that does not fit": (
        "net.safetensors",
        lambda p: tensors(p, {"w": at([5], 0, 4)}, bytes(4)),
        "claims 20 bytes",
    ),
    "overlapping tensors": (
        "net.safetensors",
        lambda p: tensors(p, {"a": at([2], 0, 8), "b": at([2], 4, 12)}, bytes(12)),
        "lies over another",
    ),
    "a name twice": (
        "net.safetensors",
        lambda p: tensors(
            p, f'{{"w": {json.dumps(at([1], 0, 4))}, "w": {json.dumps(at([1], 0, 4))}}}', bytes(4)
        ),
        "twice",
    ),
    "an unknown type": (
        "net.safetensors",
        lambda p: tensors(p, {"w": at([1], 0, 4, "OBJ")}, bytes(4)),
        "not read",
    ),
    "a negative shape": (
        "net.safetensors",
        lambda p: tensors(p, {"w": at([-1, -1], 0, 4)}, bytes(4)),
        "cannot be",
    ),
    "a header of brackets": (
        "net.safetensors",
        lambda p: tensors(p, '{"a":' + "[" * 50_000),
        "no JSON",
    ),
}

CONFIG = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}


def folder(path: Path, parts: dict[str, bytes], **changes: Any) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG | changes))
    for name, data in parts.items():
        (path / name).write_bytes(data)
    return path


def linked(path: Path) -> Path:
    folder(path, {"vocab.txt": b"[UNK]\na"})
    (path / "model.safetensors").symlink_to("/etc/hostname")
    return path


def sound() -> bytes:
    header = json.dumps({"w": at([1], 0, 4)}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def zipped(names: dict[str, bytes], packed: bool = False) -> Maker:
    def make(path: Path) -> Path:
        return stored(path, {"m/config.json": json.dumps(CONFIG).encode(), **names}, packed)

    return make


def link_in_zip(path: Path) -> Path:
    zipped({})(path)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("m/model.safetensors")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/hostname")
    return path


WORDS = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"
HIDDEN = pickle.dumps(Payload(), protocol=2)
FOLDERS: dict[str, tuple[str, Maker, str]] = {
    "pytorch_model.bin": (
        "bert",
        lambda p: folder(p, {"pytorch_model.bin": HIDDEN, "vocab.txt": WORDS}),
        "only unpickling could read",
    ),
    "code of its own": (
        "mine",
        lambda p: folder(
            p,
            {"modeling.py": b"open('ran', 'w')", "model.safetensors": sound(), "vocab.txt": WORDS},
            model_type="mine",
            auto_map={"AutoModelForSequenceClassification": "modeling.Net"},
        ),
        "does not know without code of its own",
    ),
    "a tokenizer of its own": (
        "bert",
        lambda p: folder(
            p,
            {
                "model.safetensors": sound(),
                "tokenizer.py": b"open('ran', 'w')",
                "vocab.pkl": HIDDEN,
                "tokenizer_config.json": json.dumps(
                    {
                        "auto_map": {"AutoTokenizer": ["tokenizer.Mine", None]},
                        "vocab_file": "/etc/passwd",
                    }
                ).encode(),
            },
        ),
        "no tokenizer",
    ),
    "a pickled processor": (
        "bert",
        lambda p: folder(
            p,
            {"model.safetensors": sound(), "preprocessor_config.json": HIDDEN, "vocab.txt": WORDS},
        ),
        "no JSON",
    ),
    "a lying part": (
        "bert",
        lambda p: folder(p, {"model.safetensors": HIDDEN, "vocab.txt": WORDS}),
        "no sound safetensors",
    ),
    "parts elsewhere": (
        "bert",
        lambda p: folder(
            p,
            {
                "model.safetensors.index.json": b'{"weight_map": {"w": "../../x.safetensors"}}',
                "vocab.txt": WORDS,
            },
        ),
        "names '../../x.safetensors'",
    ),
    "a link": ("bert", linked, "a link that leads out"),
    "a folder in a zip with ..": (
        "m.zip",
        zipped({"../up.safetensors": sound()}),
        "leads out of it",
    ),
    "an absolute path": ("m.zip", zipped({"/etc/up.json": b"{}"}), "leads out of it"),
    "a link in a zip": ("m.zip", link_in_zip, "is a link"),
    "a zip bomb": ("m.zip", zipped({"m/vocab.txt": bytes(10**7)}, True), "zip bomb"),
    "a pickle in a zip": (
        "m.zip",
        zipped({"m/pytorch_model.bin": HIDDEN, "m/vocab.txt": WORDS}),
        "only unpickling",
    ),
    "two models in a zip": ("m.zip", zipped({"n/config.json": b"{}"}), "2 folders"),
    "quantised": (
        "bert",
        lambda p: folder(p, {"model.safetensors": sound()}, quantization_config={"a": 1}),
        "quantised",
    ),
}
FILES |= FOLDERS

# Tries each in a process of its own, and writes what each was told and what Python did meanwhile.
SCRIPT = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from core.errors import FluoroscopeError
from core.models.exported.description import Description
from core.models.formats import door, taking
from core.workspace import Workspace

taking.confine = lambda *limits: None
taking.forbid = taking.graphs.forbid = lambda *deeds: None
door.opened = lambda source, target, worker: taking.main(source, target, 60, 8)
events = []
BAD = ("pickle.find_class", "os.system", "subprocess.Popen", "exec", "socket.connect", "os.fork")
def watch(event, arguments):
    code = arguments[0] if event == "exec" else None
    if event in BAD and (code is None or "ran" in code.co_consts):  # not a library's own code
        events.append(f"{event} {str(arguments)[:200]}")
folder, place = Path(sys.argv[1]), Workspace(Path(sys.argv[2]))
told = {}
said = Description(architecture={"name": "tabular_mlp"})
files = sorted(folder.iterdir())
sys.addaudithook(watch)
for each in files:
    (path,) = each.iterdir()
    events.clear()
    try:
        door.add(path, said, place=place)
        words = ["was taken", ""]
    except FluoroscopeError as error:
        words = [error.message, error.next_step]
    told[each.name] = [*words, list(events)]
print("TOLD " + json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each file was told, and what Python did."""
    home = tmp_path_factory.mktemp("hostile")
    folder = home / "files"
    for name, (file, make, _) in FILES.items():
        (folder / name).mkdir(parents=True)
        make(folder / name / file)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(home / "place")],
        cwd=home, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(core.__file__ or "").parents[1])},
    )  # fmt: skip
    line = next((e for e in run.stdout.splitlines() if e.startswith("TOLD ")), "")
    assert line, run.stdout + run.stderr
    assert not (home / "ran").exists()
    assert list((home / "place" / "models").iterdir()) == []
    found: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    return found


@pytest.mark.parametrize("name", FILES)
def test_nothing_of_it_runs_and_it_gets_a_sentence(name: str, told: dict[str, Any]) -> None:
    message, next_step, events = told[name]
    assert FILES[name][2] in message
    assert message.endswith(".")
    assert next_step.endswith(".")
    assert events == []


def test_the_payload_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.load(module_in_pt(tmp_path / "net.pt"), weights_only=False)
    assert (tmp_path / "ran").exists()


def test_the_real_door_is_shut_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Workspace(tmp_path / "place")
    said = Description(architecture=ARCHITECTURE)
    with pytest.raises(BadModel, match=r"more than tensors.*exec") as caught:
        add(torch_zip(tmp_path / "net.pt"), said, place=place)
    assert "torch.save(model.state_dict()" in caught.value.next_step
    assert not (tmp_path / "ran").exists()
    assert list(place.models.iterdir()) == []
    save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors")
    with pytest.raises(BadModel, match=r"missing .* more"):
        add(tmp_path / "w.safetensors", said, place=place)
    assert list(place.models.iterdir()) == []
