"""A stranger's file is opened in a process of its own, with limits on memory, time and disk.

Run as ``python -m core.models.exported.opening SOURCE TARGET SECONDS GIB``: looks the file over,
writes the clean one to TARGET, lets torch rebuild it, runs it, and tells what it found. Whatever
goes wrong there, the process that asked gets a sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

from core.confinement import probe, process
from core.confinement.deeds import forbid
from core.confinement.limits import confine
from core.errors import BadModel, shortened
from core.models.exported.description import Description
from core.progress import Meter

_HERE = "core.models.exported.opening"


def opened(
    source: Path, target: Path, worker: str = "", meter: Meter | None = None
) -> dict[str, Any]:
    """What the process found; ``target`` is then a file that may be loaded. ``worker`` is another
    module that is run in place of this one, in the same way.

    The settings ``open_seconds`` (120) and ``open_gib`` (16) are its limits. Raises
    ``BadModel`` when the file is refused, broken, too slow or too large; ``target`` is then gone.
    Raises ``Cancelled``.
    """
    name = shortened(source.name, 80)
    try:
        ended = process.run(
            worker or _HERE,
            [str(source), str(target)],
            meter,
            note="In a process of its own",
            places=[target.parent],
        )
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    if "found" in ended.told and ended.status == 0 and target.is_file():
        found: dict[str, Any] = ended.told["found"]
        return found
    target.unlink(missing_ok=True)
    if "error" in ended.told:
        raise BadModel(*map(str, ended.told["error"][:2]))
    if ended.status == probe.ENDED:
        raise BadModel(
            f"The tokenizer of '{name}' takes longer than {probe.SECONDS} seconds for a text "
            f"of {probe.LONGEST:,} characters.",
            "Check the patterns in its tokenizer.json: one of them tries the same again and again.",
        )
    raise BadModel(
        f"'{name}' {ended.reason} when it is opened with {ended.memory} GiB of memory.",
        f"Export it again; if it is as large as that, {process.RAISE}",
    )


def main(source: Path, target: Path, seconds: int, memory: int) -> dict[str, Any]:
    """Look over, clean, rebuild, run. Raises ``BadModel``."""
    from core.models.exported.clean import clean

    def work() -> dict[str, Any]:
        confine(seconds, memory, 2 * source.stat().st_size + 2**26)
        found = clean(source, target)
        from core.models.exported.trial import tried  # torch, only for what was let through

        encode = encoder(found.card)
        forbid()
        if encode is not None:
            probe.probed(encode)
        return tried(found, target)

    return told_of(source, memory, work)


def encoder(card: str) -> Callable[[str], object] | None:
    """What a tokenizer of its own does with a text. Raises ``BadModel`` where it cannot be read."""
    said = Description.read(card).tokenizer.get("json")
    if said is None or util.find_spec("tokenizers") is None:
        return None
    from core.models.exported.tokens import library
    from core.models.transformer_tokenizer import TransformerTokenizer

    return TransformerTokenizer(library({"json": said}), None).encode


def told_of(source: Path, memory: int, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` on a file returns; what it breaks of memory and disk is told.

    Raises ``BadModel``.
    """
    try:
        return work()
    except MemoryError:
        raise BadModel(
            f"'{source.name}' needs more than {memory} GiB of memory.",
            "Export a smaller model, or raise FLUOROSCOPE_OPEN_GIB.",
        ) from None
    except OSError as error:
        raise BadModel(
            f"'{source.name}' cannot be opened: {error.strerror or error}.",
            "Check the file and the space on the disk.",
        ) from None


def answer(work: Callable[[Path, Path, int, int], dict[str, Any]]) -> None:
    """Do the work that the command line names, and tell what was found or what is wrong."""
    source, target, seconds, memory = sys.argv[1:5]
    process.answer(
        lambda: work(Path(source), Path(target), int(seconds), int(memory)), Path(source).name
    )


if __name__ == "__main__":
    answer(main)
