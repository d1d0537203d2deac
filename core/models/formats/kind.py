"""What a stranger's file is, by its content: never by its name. Nothing is unpickled or unpacked.

Imports no torch.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from core.data.members import ANY_SIZE, opened
from core.errors import BadModel, UnknownName, shortened

CONVERT = (
    "Save its weights with torch.save(model.state_dict(), 'weights.pt'), or all of it with "
    "torch.export.save(torch.export.export(model, (inputs,)), 'model.pt2')."
)
KNOWN = (
    "Expected .pt2, .safetensors, weights in .pt, .pth or .ckpt, .onnx, .skops, or a folder or zip "
    "with config.json and model.safetensors, or with one .onnx file and its weights."
)
_HEAD = 4096
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began before its zips
_PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(1, 6))
_NAMED = (  # by their names alone, where their bytes are those of nothing known
    (".safetensors", "a file of safetensors", "Save it again with safetensors.torch.save_file."),
    (".onnx", "a graph of ONNX", "Export it again with torch.onnx.export."),
)
_OTHERS = (
    (b"GGUF", "a GGUF file", "Give the folder of the model that it was made of."),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", KNOWN),
    (b"\x93NUMPY", "an array of NumPy", "Save its weights with safetensors.torch.save_file."),
    (b"\x1f\x8b", "compressed with gzip, as pickles and joblib files often are", CONVERT),
    (b"BZh", "compressed with bzip2, as pickles and joblib files may be", CONVERT),
    (b"\xfd7zXZ", "compressed with xz, as pickles and joblib files may be", CONVERT),
    (b"x\x9c", "compressed with zlib, as files of joblib are", CONVERT),
    (b"Rar!", "a RAR archive", "Make a zip of the folder."),
    (b"7z\xbc\xaf", "a 7z archive", "Make a zip of the folder."),
)


class Kind(StrEnum):
    """How a model came."""

    PROGRAM = "program"
    SAFETENSORS = "safetensors"
    STATE = "state"
    FOLDER = "folder"
    FOLDER_ZIP = "folder-zip"
    ONNX = "onnx"
    ONNX_ZIP = "onnx-zip"
    SKOPS = "skops"


def kind_of(path: Path) -> Kind:
    """What there is at ``path``.

    Raises ``UnknownName`` when there is nothing, ``BadModel`` for what is not read: it says what it
    is and how to save it otherwise.
    """
    if path.is_dir():
        if (path / "config.json").is_file():
            return Kind.FOLDER
        if len(graphs_in(path)) == 1:
            return Kind.ONNX
        raise BadModel(f"The folder '{shortened(path.name, 80)}' has no config.json.", KNOWN)
    if not path.is_file():
        raise UnknownName(f"There is no file '{shortened(path)}'.", "Check the path.")
    name = shortened(path.name, 80)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(0, 2)
            size = file.tell()
    except OSError as error:
        raise BadModel(f"'{name}' cannot be read: {error.strerror}.", "Check the file.") from None
    if not head:
        raise BadModel(f"'{name}' is empty (0 bytes).", KNOWN)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(path, name)
    if head.startswith(_LEGACY):
        return Kind.STATE
    if head.startswith(_PICKLES):
        raise BadModel(
            f"'{name}' is a pickle, which can run any code when it is opened: it was not.", CONVERT
        )
    for start, what, next_step in _OTHERS:
        if head.startswith(start):
            raise BadModel(f"'{name}' is {what}, which is not read.", next_step)
    if head[257:262] == b"ustar":
        raise BadModel(f"'{name}' is a tar archive, which is not opened.", CONVERT)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**56:
        return Kind.SAFETENSORS
    if _is_onnx(head, size):
        return Kind.ONNX
    if head[:1] in b"(c]}" and b"\n" in head[:200]:
        raise BadModel(f"'{name}' looks like a pickle: it was not opened.", CONVERT)
    for ending, what, next_step in _NAMED:
        if name.lower().endswith(ending):
            raise BadModel(f"'{name}' does not begin as {what} does: it is damaged.", next_step)
    raise BadModel(f"'{name}' is no model of a kind that is known here.", KNOWN)


def graphs_in(folder: Path) -> list[Path]:
    """The .onnx files in a folder."""
    return sorted(each for each in folder.glob("*.onnx") if each.is_file())


def _zipped(path: Path, name: str) -> Kind:
    archive, files = opened(path, path.name, error=BadModel, bounds=ANY_SIZE)
    archive.close()
    parts = [each.split("/") for each in files]
    below = {"/".join(each[1:]) for each in parts if len(each) > 1}
    tops = {each[0] for each in parts if len(each) == 1}
    if {"archive_format", "models/model.json"} <= below:
        return Kind.PROGRAM
    if "constants.pkl" in below and any(each.startswith("code/") for each in below):
        raise BadModel(f"'{name}' is a TorchScript program, which is not run.", CONVERT)
    if "data.pkl" in below:
        return Kind.STATE
    if "schema.json" in tops:
        return Kind.SKOPS
    if any(each[-1] == "config.json" for each in parts):
        return Kind.FOLDER_ZIP
    if sum(each[-1].lower().endswith(".onnx") for each in parts) == 1:
        return Kind.ONNX_ZIP
    if path.suffix.lower() == ".pt2":
        return Kind.PROGRAM  # torn or odd: its own reader says how
    if any(each[-1].endswith((".npy", ".npz")) for each in parts):
        raise BadModel(
            f"'{name}' is a zip of NumPy arrays, which is not read.",
            "Save its weights with safetensors.torch.save_file.",
        )
    raise BadModel(
        f"'{name}' is a zip without a model that is known here; archives in it are not opened.",
        KNOWN,
    )


def _is_onnx(head: bytes, size: int) -> bool:
    """Whether bytes begin as a ``ModelProto``: an ``ir_version``, then texts and the graph.

    Fields of protocol buffers: 1 is a small number, 2 to 6 and 7, 8, 14, 20 and 25 as onnx.proto
    has them.
    """
    if head[:1] != b"\x08" or len(head) < 4 or not 1 <= head[1] <= 64:
        return False
    field, wire = head[2] >> 3, head[2] & 7
    return size > 16 and wire in (0, 2) and field in (2, 3, 4, 5, 6, 7, 8, 14)
