"""Models that people brought, as a source of cards: ``own:<name>`` after their folder in the
workspace, or the path of a ``.pt2`` file, which is taken in when it is first named.

    models/<name>/model.pt2    the clean program (``core.models.exported.clean``)
    models/<name>/card.json    what it is for, how it is called, and the file that it came from

Imports no torch.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from core.errors import BadModel, BadParameter, StorageError, UnknownName, shortened
from core.models.card import ImagePreprocessing, ModelCard
from core.models.exported.description import Description, completed
from core.models.exported.opening import opened
from core.paths import located
from core.provenance import sha256_of_file
from core.store import write_atomically
from core.tasks import Task
from core.workspace import Workspace, workspace

PREFIX = "own:"
SUFFIX = ".pt2"
PROGRAM, CARD = "model.pt2", "card.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def knows(name: str) -> bool:
    """Whether a name means such a model."""
    return name.startswith(PREFIX) or name.lower().endswith(SUFFIX)


def names() -> tuple[str, ...]:
    """The models of the workspace, in alphabetical order."""
    root = workspace().root / "models"
    return tuple(f"{PREFIX}{each.parent.name}" for each in sorted(root.glob(f"*/{CARD}")))


def card(name: str) -> ModelCard:
    """The card of a model.

    Raises ``UnknownName`` when there is none, ``BadModel`` when its card is damaged, and what
    ``add`` raises for a path.
    """
    if not name.startswith(PREFIX):
        return card(add(located(name)).name)
    folder = _folder(name.removeprefix(PREFIX))
    try:
        about = json.loads((folder / CARD).read_bytes())
        said = Description.read(json.dumps(about["description"]))
        found, origin = about["found"], about["origin"]
        if said.task is None:
            raise ValueError("no task")
        prepared = said.preprocessing
        pictures = said.task is Task.IMAGE_CLASSIFICATION
        texts = said.task.axis == "tokens"
        return ModelCard(
            name=name,
            title=said.title or folder.name,
            task=said.task,
            summary=said.summary or f"Your own model, from {origin['file']}.",
            factory="core.models.exported.made:module",
            classes=said.classes,
            preprocessing=ImagePreprocessing(**_pictured(prepared)) if pictures else None,
            folder=folder,
            weights=PROGRAM,
            weights_factory=None,
            extra="text" if texts else None,
            modules_needed=("transformers",) if "json" in said.tokenizer else (),
            raw={
                "parameters": int(found["parameters"]),
                "summary": said.summary,
                "data": {},
                "training": {},
                "preprocessing": dict(prepared),
                "tokenizer": dict(said.tokenizer),
                "found": found,
                "origin": origin,
                "licence": "yours",
            },
            arguments={
                "path": str(folder / PROGRAM),
                **{key: found[key] for key in ("filled", "widths", "batch", "output", "freed")},
            },
            tokenizer="core.models.exported.tokens:of" if texts else "",
            own_weights=True,
            independent=said.independent,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(
            f"The card of '{shortened(name, 80)}' cannot be read: {error!r}.",
            "Add the model again with `fluoroscope add FILE`.",
        ) from error


def _pictured(prepared: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: prepared[key] for key in ("channels", "height", "width", "fit", "box")}
    return {**known, "mean": tuple(prepared["mean"]), "std": tuple(prepared["std"])}


class Added:
    """A model that was taken in: its ``name``, what was ``found``, ``notes`` on what was assumed,
    and whether it was ``known`` already.
    """

    def __init__(
        self, name: str, found: Mapping[str, Any], notes: tuple[str, ...], known: bool
    ) -> None:
        self.name = name
        self.found = found
        self.notes = notes
        self.known = known


def add(
    path: Path, said: Description | None = None, name: str = "", place: Workspace | None = None
) -> Added:
    """Take a ``.pt2`` file into the workspace, after it was looked over and opened in a process of
    its own. The same bytes are kept once; what is said of them anew replaces what was said before.

    Raises ``BadModel`` as ``clean``, ``opened`` and ``completed`` do, ``BadParameter`` for a name
    that cannot be one or is taken, ``StorageError`` when it cannot be stored.
    """
    place = place or workspace()
    if not path.is_file():
        raise UnknownName(f"There is no file '{shortened(path)}'.", "Check the path.")
    digest = sha256_of_file(path)
    known = _with(digest, place)
    if known is not None and said is None and name in ("", known.name):
        about = json.loads((known / CARD).read_bytes())
        return Added(f"{PREFIX}{known.name}", about["found"], (), True)
    if name and not _NAME.fullmatch(name):
        raise BadParameter(
            f"'{shortened(name, 80)}' cannot be the name of a model.",
            "Use letters, digits, points, dashes and underscores.",
        )
    root = place.models
    chosen = name or (known.name if known else _free(root, path.stem))
    if (root / chosen).exists() and (known is None or known.name != chosen):
        raise BadParameter(f"There is a model '{chosen}' already.", "Choose another --name.")
    draft = root / f".new-{secrets.token_hex(8)}"
    try:
        draft.mkdir()
        if known is None:
            found = opened(path, draft / PROGRAM)
            before = found.pop("card")
        else:
            earlier = json.loads((known / CARD).read_bytes())
            found, before = earlier["found"], json.dumps(earlier["description"])
        described, notes = completed((said or Description()).over(Description.read(before)), found)
        about = {
            "description": json.loads(described.written()),
            "found": found,
            "origin": {"file": shortened(path.name), "sha256": digest},
        }
        text = json.dumps(about, indent=1).encode()
        if known is None:
            write_atomically(draft / CARD, text)
            draft.rename(root / chosen)
        else:
            write_atomically(known / CARD, text)
            if known.name != chosen:
                known.rename(root / chosen)
    except OSError as error:
        raise StorageError(
            f"'{shortened(path.name, 80)}' cannot be stored: {error.strerror or error}.",
            "Free some space, or choose another --workspace.",
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Added(f"{PREFIX}{chosen}", found, notes, known is not None)


def _with(digest: str, place: Workspace) -> Path | None:
    """The folder of the model that these bytes became."""
    for path in sorted((place.root / "models").glob(f"*/{CARD}")):
        try:
            about = json.loads(path.read_bytes())
            if about["origin"]["sha256"] == digest and (path.parent / PROGRAM).is_file():
                return path.parent
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _free(root: Path, stem: str) -> str:
    """A name for a folder that nobody has."""
    wanted = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:70] or "model"
    candidates = [wanted, *(f"{wanted}-{number}" for number in range(2, 1000))]
    return next(each for each in candidates if not (root / each).exists())


def _folder(text: str) -> Path:
    if PurePath(text).is_absolute() and (Path(text) / CARD).is_file():
        return Path(text)
    root = workspace().root / "models"
    if text and PurePath(text).name == text and (root / text / CARD).is_file():
        return root / text
    known = [each.removeprefix(PREFIX) for each in names()]
    raise UnknownName.of("model of your own", text, known, "Bring one with `fluoroscope add FILE`.")
