"""Software descriptions in five topics, from the package index of the Debian system one runs on.

Each example is the one-line description of a package, its class the section it is filed under. The
lines belong to thousands of packages with licences of their own, so none are shipped: they are read
anew from ``apt-cache dumpavail``, and a card has their fingerprint. Imports no torch.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache

from core.data.splits import split
from core.errors import BadInput

TOPICS = {
    "games": "games",
    "science": "science",
    "sound": "sound",
    "graphics": "graphics",
    "net": "network",
}
CLASSES = tuple(TOPICS.values())
WORD = re.compile(r"[^\W\d_]+(?:\+\+|#)?")
SPLIT_SEED = 0  # a changed seed changes which examples are held out: train again


def descriptions() -> list[tuple[str, str]]:
    """Pairs of a description and its topic, each description once, sorted.

    Raises ``BadInput`` where there is no Debian package index.
    """
    found = topics(package_index())
    if len({topic for _, topic in found}) < len(CLASSES):
        raise BadInput(
            "The package index of this system is empty or has no descriptions.",
            "Run `apt-get update` first, or give texts with a label column with --data.",
        )
    return found


def topic_parts() -> dict[str, tuple[list[str], list[int]]]:
    """The software descriptions in three parts: 4,996 / 624 / 624, each topic in proportion."""
    found = descriptions()
    labels = [CLASSES.index(topic) for _, topic in found]
    places = split(labels, len(labels), SPLIT_SEED)
    return {
        name: ([found[i][0] for i in rows], [labels[i] for i in rows])
        for name, rows in places.items()
    }


def unlabelled() -> list[str]:
    """The descriptions of all packages, whatever their section: each once, sorted."""
    return sorted({text for _, text in _fields(package_index()) if text})


@cache
def package_index() -> str:
    """What Debian's package manager knows of every package.

    Raises ``BadInput`` where there is none.
    """
    apt = shutil.which("apt-cache")
    if apt is None:
        raise BadInput(
            "The software descriptions come from Debian's package index, and there is no "
            "apt-cache here.",
            "Train on a Debian or Ubuntu system, or give texts with a label column with --data.",
        )
    printed = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [apt, "dumpavail"], capture_output=True, check=False
    )
    return printed.stdout.decode("utf-8", errors="replace")


def topics(index: str) -> list[tuple[str, str]]:
    """The descriptions in an index of packages whose section is one of the five; a description
    that stands under two topics is left out.
    """
    found: dict[str, str | None] = {}
    for section, text in _fields(index):
        if section in TOPICS and text:
            topic = TOPICS[section]
            found[text] = topic if found.get(text, topic) == topic else None
    return sorted((text, topic) for text, topic in found.items() if topic)


def words(text: str) -> list[str]:
    """Words in lower case, numbers and signs left out; ``c++`` and the like stay whole."""
    return WORD.findall(text.lower())


def _fields(index: str) -> Iterator[tuple[str, str]]:
    for paragraph in index.split("\n\n"):
        section = re.search(r"^Section: (\S+)$", paragraph, re.MULTILINE)
        text = re.search(r"^Description(?:-en)?: (.+)$", paragraph, re.MULTILINE)
        if section and text:
            yield section[1], text[1].strip()
