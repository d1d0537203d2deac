"""Networks of one's own code that the settings list, as the dashboard knows them.

    opened/<key>/card.json        what the worker found when it called the function
    opened/<key>/weights.sha256   the digest of its weights, its description and its code

The dashboard runs nobody's code. Its ordinary worker calls the function, once after each start of
the dashboard and after each change of the files it comes from; what it found is kept here, where no
sealed process writes. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core import settings
from core.errors import BadModel, StorageError, shortened
from core.models.card import ModelCard
from core.models.exported import held
from core.models.exported.description import Description
from core.models.reference import ModelRef
from core.progress import Meter
from core.provenance import sha256_of_json
from core.store import write_atomically
from core.workspace import workspace

WEIGHTS = "weights.sha256"
_VERSION = 1  # of what is looked for
_CARD, _OF = "card.json", "of.json"
_READ = (
    "The dashboard calls it again when its code has changed; when the weights that it loads have, "
    "start the dashboard anew."
)
_opened: set[Path] = set()  # by this process
_failed: set[str] = set()


@dataclass(frozen=True)
class Live:
    """What was found of a network of one's own code, what is ``said`` of it, the ``digest`` of all
    that makes it what it is, and the ``files`` of code it comes from with their states.
    """

    said: Description
    found: Mapping[str, Any]
    digest: str
    files: Mapping[str, list[int]]


def written(name: str, live: Live, folder: Path) -> ModelCard:
    """The card of a network, after its digest was written to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_text(live.digest, encoding="utf-8")
    return carded(name, live.said, live.found, folder)


def carded(name: str, said: Description, found: Mapping[str, Any], folder: Path) -> ModelCard:
    """The card of a network whose digest is in ``folder``."""
    from core.models.exported.own import Staged
    from core.models.formats import cards

    kept = Staged(folder, found, said, {"file": name}, False, cards.WEIGHTS_KIND)
    summary = said.summary or f"Your own network, made by {name}. {_READ}"
    return replace(
        cards.card(name, folder, kept),
        summary=f"{summary} {held.sentence(found, said.held)}".rstrip(),
        factory="core.models.formats.factory:module",
        arguments={"name": name},
        weights=WEIGHTS,
        own_weights=True,
    )


def card(name: str) -> ModelCard:
    """The card that is kept of a network that the settings list.

    Raises ``BadModel`` where there is none.
    """
    if name not in settings.models():
        raise refused(name)
    place = _place(name)
    try:
        about = json.loads((place / _CARD).read_bytes())
        if not (place / WEIGHTS).is_file():
            raise ValueError("no digest")
        return carded(name, Description.read(json.dumps(about["said"])), about["found"], place)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(
            f"'{shortened(name, 80)}' was not called yet.", "Choose it in the dashboard's sidebar."
        ) from error


def refused(name: str) -> BadModel:
    """What there is to say of code that is not run."""
    short = shortened(name, 80)
    return BadModel(
        f"'{short}' names code, which runs only where you wrote its name yourself.",
        f"Type it on the command line, as in `fluoroscope attribute {short} …`, or list it in "
        f'{settings.FILE}: models = ["{short}"].',
    )


def known(name: str) -> bool:
    """Whether its function was called since this process started, and its code is the same."""
    place = _place(name)
    return place in _opened and (place / WEIGHTS).is_file() and not changed(name)


def changed(name: str) -> bool:
    """Whether the worker may have imported code that is not that of now: a file of it has changed
    since, or calling it failed.
    """
    return name in _failed or (_place(name) in _opened and _stamps(name, now=True) != _stamps(name))


def asked(name: str) -> dict[str, Any]:
    """The parameters of the verb ``open_code``: others when a file of the code has changed."""
    return {"files": sha256_of_json(_stamps(name, now=True)), "failed": name in _failed}


def keep(name: str, told: str) -> None:
    """Keep what ``open_code`` told. Raises ``StorageError``."""
    about = json.loads(told)
    place = _place(name)
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / WEIGHTS, about.pop("digest").encode())
        write_atomically(place / _OF, json.dumps({"folder": name}).encode())
        write_atomically(place / _CARD, json.dumps(about).encode())
    except OSError as error:
        raise StorageError(
            f"What was found of '{shortened(name, 80)}' cannot be kept: {error.strerror or error}.",
            "Free some space, or choose another --workspace.",
        ) from error
    _failed.discard(name)
    _opened.add(place)


def fail(name: str) -> None:
    """Remember that calling it failed: what the worker has imported of it may be mended by then."""
    _failed.add(name)


def open_code(ref: ModelRef, _: Any, parameters: Mapping[str, Any], seed: int, meter: Meter) -> str:
    """The verb ``open_code``: call the function that ``ref`` names, and tell what it makes.

    Raises what ``core.models.formats.factory.card`` does.
    """
    from core.models.formats import factory

    meter.expect(1, "Calling it")
    live = factory.live(ref.name)
    return json.dumps(
        {
            "said": json.loads(live.said.written()),
            "found": live.found,
            "digest": live.digest,
            "files": live.files,
        }
    )


def _stamps(name: str, now: bool = False) -> dict[str, list[int]]:
    """The states of the files of code, as they were when it was opened or are ``now``."""
    kept: dict[str, list[int]] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = dict(json.loads((_place(name) / _CARD).read_bytes())["files"])
    return {each: state(Path(each)) for each in kept} if now else kept


def state(path: Path) -> list[int]:
    """By what it is seen that a file has changed; empty where it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _place(name: str) -> Path:
    from core.models.formats import factory

    key = sha256_of_json([_VERSION, name, factory.home()])
    return workspace().root / "opened" / key[:32]
