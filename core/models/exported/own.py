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
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from core.confinement.folders import remove
from core.errors import BadModel, BadParameter, StorageError, UnknownName, shortened
from core.models.card import ImagePreprocessing, ModelCard
from core.models.exported import choice, held
from core.models.exported.description import Description, completed
from core.models.exported.opening import opened
from core.models.formats import factory
from core.paths import located, read_json
from core.progress import Meter
from core.provenance import sha256, sha256_of_file
from core.store import write_atomically
from core.tasks import Task
from core.workspace import Workspace, workspace

PREFIX = "own:"
SUFFIX = ".pt2"
PROGRAM, CARD, FOUND = "model.pt2", "card.json", "found.json"
_KEPT = 24 * 3600.0  # seconds that a staged file waits
_WRITER = "core.models.exported.writing:translation"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def knows(name: str) -> bool:
    """Whether a name means such a model, or one's own code (``core.models.formats.factory``)."""
    return factory.knows(name) or name.startswith(PREFIX) or name.lower().endswith(SUFFIX)


def names() -> tuple[str, ...]:
    """The models of the workspace, in alphabetical order."""
    root = workspace().root / "models"
    return tuple(f"{PREFIX}{each.parent.name}" for each in sorted(root.glob(f"*/{CARD}")))


def card(name: str) -> ModelCard:
    """The card of a model.

    Raises ``UnknownName`` when there is none, ``BadModel`` when its card is damaged, and what
    ``add`` raises for a path.
    """
    from core.models.formats import admitted

    if factory.knows(name):
        return factory.card(name)
    if not name.startswith(PREFIX):
        admitted.unhurried(name)
        return card(add(located(name)).name)
    folder = _folder(name.removeprefix(PREFIX))
    staged = at(folder)
    said, found, origin = staged.said, staged.found, staged.origin
    if staged.kind:
        from core.models.formats import cards

        return cards.card(name, folder, staged)
    try:
        if said.task is None:
            raise ValueError("no task")
        prepared = said.preprocessing
        pictures = said.task is Task.IMAGE_CLASSIFICATION
        texts = said.task.axis == "tokens"
        kept = held.arguments(found, said.held)
        summary = said.summary or f"Your own model, from {origin['file']}."
        summary = f"{summary} {held.sentence(found, said.held)}".rstrip()
        return ModelCard(
            name=name,
            title=said.title or folder.name,
            task=said.task,
            summary=summary,
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
                "held": dict(said.held),
                "found": found,
                "origin": origin,
                "licence": "yours",
            },
            arguments={
                "path": str(folder / PROGRAM),
                **{key: found[key] for key in ("filled", "widths", "batch", "output", "freed")},
                **({"held": kept} if kept else {}),
            },
            tokenizer="core.models.exported.tokens:of" if texts else "",
            own_weights=True,
            independent=said.independent,
            adapter=_WRITER if said.task is Task.TRANSLATION else "",
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadModel(
            f"The card of '{shortened(name, 80)}' cannot be read: {error!r}.",
            "Add the model again with `fluoroscope add FILE`.",
        ) from error


def _pictured(prepared: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: prepared[key] for key in ("channels", "height", "width", "fit", "box")}
    return {**known, "mean": tuple(prepared["mean"]), "std": tuple(prepared["std"])}


@dataclass(frozen=True)
class Staged:
    """A file that was looked over and opened: its ``folder``, what was ``found``, what is ``said``
    of it so far, where it comes from, whether it is ``known`` as a model already, and its ``kind``
    where it is no program (``core.models.formats.cards``).
    """

    folder: Path
    found: Mapping[str, Any]
    said: Description
    origin: Mapping[str, str]
    known: bool
    kind: str = ""


@dataclass(frozen=True)
class Added:
    """A model that was taken in: its ``name``, what was ``found``, ``notes`` on what was assumed,
    and whether it was ``known`` already.
    """

    name: str
    found: Mapping[str, Any]
    notes: tuple[str, ...]
    known: bool


def add(
    path: Path, said: Description | None = None, name: str = "", place: Workspace | None = None
) -> Added:
    """Take a ``.pt2`` file into the workspace, after it was looked over and opened in a process of
    its own. The same bytes are kept once; what is said of them anew goes before what was said.

    Raises what ``stage`` and ``settle`` do.
    """
    staged = stage(path, place)
    if staged.known and said is None and name in ("", staged.folder.name):
        return Added(f"{PREFIX}{staged.folder.name}", staged.found, (), True)
    return settle(staged, said or Description(), name)


def stage(path: Path, place: Workspace | None = None, meter: Meter | None = None) -> Staged:
    """Look a file over and open it, without making it a model yet. A file that was staged within a
    day, or is a model, is not opened again.

    Raises ``UnknownName`` when there is no such file, ``BadModel`` and ``Cancelled`` as ``opened``
    does, ``StorageError`` when it cannot be stored.
    """
    root = (place or workspace()).models
    if not path.is_file():
        raise UnknownName(f"There is no file '{shortened(path)}'.", "Check the path.")
    digest = sha256_of_file(path)
    known = _with(digest, root)
    if known is not None:
        return at(known)
    for old in root.glob(".new-*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _KEPT:
                remove(old)
    folder = root / f".new-{digest[:32]}"
    if not (folder / FOUND).is_file():
        draft = root / f".new-{secrets.token_hex(20)}"
        try:
            draft.mkdir()
            take = opened if meter is None else partial(opened, meter=meter)
            found = take(path, draft / PROGRAM)
            about = {
                "description": json.loads(Description.read(found.pop("card")).written()),
                "found": found,
                "origin": {"file": shortened(path.name), "sha256": digest},
            }
            write_atomically(draft / FOUND, json.dumps(about, indent=1).encode())
            remove(folder)
            draft.rename(folder)
        except OSError as error:
            raise _not_stored(path.name, error) from error
        finally:
            remove(draft)
    return at(folder)


def at(folder: Path) -> Staged:
    """What is known of a model or a staged file in its folder. Raises ``BadModel``."""
    known = (folder / CARD).is_file()
    try:
        about = read_json(folder / (CARD if known else FOUND))
        said = Description.read(json.dumps(about["description"]))
        said = replace(said, title=shortened(about.get("title") or said.title))
        kind = str(about.get("kind", ""))
        return Staged(folder, about["found"], said, about["origin"], known, kind)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(
            f"The card of '{shortened(folder.name, 80)}' cannot be read: {error!r}.",
            "Add the model again with `fluoroscope add FILE`.",
        ) from error


def looking(staged: Staged, wanted: Sequence[str]) -> Staged:
    """The same with the ``wanted`` inputs looked into, without what was said for others alone.

    Raises ``BadModel`` for what cannot be looked into.
    """
    found, said = choice.arranged(staged.found, wanted), staged.said
    if found is staged.found:
        return staged
    kept = {name: value for name, value in said.held.items() if name not in wanted}
    said = replace(
        said,
        look_into=choice.looked(found),
        held=kept,
        task=said.task if choice.same_kind(staged.found, found) else None,
        preprocessing=said.preprocessing if choice.fits(staged.found, found) else {},
    )
    return replace(staged, found=found, said=said)


def settle(staged: Staged, said: Description, name: str = "") -> Added:
    """Make a staged file a model, or say something else of one that is.

    Raises ``BadModel`` as ``completed`` does, ``BadParameter`` for a name that cannot be one or is
    taken, ``StorageError`` when it cannot be stored.
    """
    folder = staged.folder
    chosen = chosen_name(
        folder.parent, name, staged.origin["file"], folder if staged.known else None
    )
    staged = looking(staged, said.look_into)
    described = said.over(staged.said)
    if choice.offered(staged.found):  # said or not: the same choice is the same card
        described = replace(described, look_into=choice.looked(staged.found))
    notes: tuple[str, ...] = ()
    if staged.kind in ("", "weights", "graph"):  # the others say themselves what they are for
        described, notes = completed(described, staged.found)
    elif len(described.classes) not in (0, *staged.found["answer"]):
        raise BadModel(
            f"There are {len(described.classes)} names of classes, and the network has "
            f"{staged.found['answer'][-1]} outputs.",
            "Name every output, in their order.",
        )
    about = {
        "title": described.title,  # here the Workspace page reads and changes it
        "description": json.loads(described.written()),
        "found": staged.found,
        "origin": staged.origin,
    }
    text = json.dumps(about, indent=1).encode()
    if staged.kind:
        text = json.dumps({"kind": staged.kind, **about}, indent=1).encode()
    try:
        # What is said of a model changes what it answers, and so the fingerprint of its file.
        if staged.kind:
            from core.models.formats.tensors import mark

            for file in ("model.safetensors", "model.onnx"):
                mark(folder / file, sha256(text))
        else:
            with zipfile.ZipFile(folder / PROGRAM, "a") as archive:
                archive.comment = sha256(text).encode()
        write_atomically(folder / CARD, text)
        (folder / FOUND).unlink(missing_ok=True)
        if chosen != folder:
            folder.rename(chosen)
    except OSError as error:
        raise _not_stored(staged.origin["file"], error) from error
    return Added(f"{PREFIX}{chosen.name}", staged.found, notes, staged.known)


def chosen_name(root: Path, wanted: str, file: str, known: Path | None) -> Path:
    """The folder of a model: called as wanted, as it is known, or after its file.

    Raises ``BadParameter`` for a name that cannot be one or is taken.
    """
    if wanted and not _NAME.fullmatch(wanted):
        raise BadParameter(
            f"'{shortened(wanted, 80)}' cannot be the name of a model.",
            "Use letters, digits, points, dashes and underscores.",
        )
    chosen = root / (wanted or (known.name if known else _free(root, Path(file).stem)))
    if chosen.exists() and chosen != known:
        raise BadParameter(f"There is a model '{chosen.name}' already.", "Choose another name.")
    return chosen


def _not_stored(name: str, error: OSError) -> StorageError:
    return StorageError(
        f"'{shortened(name, 80)}' cannot be stored: {error.strerror or error}.",
        "Free some space, or choose another --workspace.",
    )


def _with(digest: str, root: Path) -> Path | None:
    """The folder of the model that these bytes became."""
    for path in sorted(root.glob(f"*/{CARD}")):
        try:
            about = read_json(path)
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
