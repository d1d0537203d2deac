"""Sentences from reviews of films and products, editorials and tweets, each rated by people.

The ratings, from -4 (worst) to 4 (best), are means of twenty raters (Hutto and Gilbert, "VADER: a
parsimonious rule-based model for sentiment analysis of social media text", ICWSM 2014). The texts
belong to many authors, so none are shipped: they are fetched with pip, checked, and kept in the
user's cache; a card has their fingerprint. Imports no torch.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from core.data.splits import split
from core.errors import BadInput
from core.store import write_atomically
from sample_models.data import CACHE

PACKAGE = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
CLASSES = ("negative", "neutral", "positive")
SPLIT_SEED = 0  # a changed seed changes which examples are held out: train again
NEUTRAL = 1.0  # ratings from -1 to 1
SOURCES = ("movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets", "tweets")
_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"

Rated = tuple[str, float]


def package(folder: Path | None = None) -> bytes:
    """The source package, from ``folder`` (by default the user's cache) or fetched and kept there.

    Raises ``BadInput`` where it cannot be had.
    """
    path = (folder or CACHE) / "rated-sentences.tar.gz"
    if path.is_file() and hashlib.sha256(content := path.read_bytes()).hexdigest() == SHA256:
        return content
    content = fetch()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return content


def label(rating: float) -> int:
    """The class of a rating as a position in ``CLASSES``."""
    return int(rating > NEUTRAL) + int(rating >= -NEUTRAL)


def fetch() -> bytes:
    """The source package with the sentences, as it is.

    Raises ``BadInput`` when pip cannot bring it or brings something else.
    """
    with tempfile.TemporaryDirectory() as temporary:
        wanted = Path(temporary) / "wanted.txt"
        wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        command += ["--require-hashes", "--requirement", str(wanted), "--dest", temporary]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - fixed words
        found = list(Path(temporary).glob("*.tar.gz"))
        if done.returncode != 0 or len(found) != 1:
            raise BadInput(
                f"The rated sentences come with the source of {PACKAGE}, which pip did not bring: "
                f"{done.stderr.strip()[-300:]}",
                "Check the network connection, or give texts with a label column with --data.",
            )
        content = found[0].read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise BadInput(
            f"{found[0].name} is not the expected file: its SHA-256 is {digest}, expected "
            f"{SHA256}.",
            "Do not use it; try again from another network.",
        )
    return content


def sentences(package: bytes) -> list[Rated]:
    """The sentences in the package with their ratings, the first of equal ones: 23,619."""
    with tarfile.open(fileobj=io.BytesIO(package)) as outer:
        inner = _member(outer, _INNER)
    found: dict[str, float] = {}
    with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
        for source in SOURCES:
            for line in _lines(_member(tar, f"hutto_ICWSM_2014/{source}_GroundTruth.txt")):
                _, rating, text = line.split("\t", 2)
                found.setdefault(" ".join(text.split()), float(rating))
    return list(found.items())


def sentence_parts(source: bytes | None = None) -> dict[str, tuple[list[str], list[int]]]:
    """The rated sentences in three parts, each class in proportion: 18,895 / 2,362 / 2,362."""
    found = sentences(source or package())
    labels = [label(rating) for _, rating in found]
    places = split(labels, len(labels), SPLIT_SEED)
    return {
        name: ([found[i][0] for i in rows], [labels[i] for i in rows])
        for name, rows in places.items()
    }


def _lines(content: bytes) -> list[str]:
    return [line for line in content.decode().split("\n") if line]


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        member = tar.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        raise BadInput(f"The package {PACKAGE} has no {name}.", "Fetch it again.")
    return member.read()
