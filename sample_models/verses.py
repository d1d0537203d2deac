"""Aligned English–Spanish verses: made once from two public-domain Bibles, shipped compressed.

    python -m sample_models.verses        # makes texts/verses.tsv.xz again from Debian's packages

English is the World English Bible (Debian ``sword-text-web``), Spanish the Reina-Valera of 1909
(``sword-text-sparv``); both are in the public domain. Kept are verses of at most 25 words on either
side, each English verse once, in lower case and without quotation marks. Imports no torch.
"""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from core.data.splits import split
from core.errors import BadInput

Pair = tuple[str, str]

SHIPPED = Path(__file__).parent / "texts" / "verses.tsv.xz"
MOST_WORDS = 25
HELD_OUT = {"val": 0.03, "test": 0.05}
SPLIT_SEED = 0  # a changed seed changes which examples are held out: train again
WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
ENGLISH = "engWEB2015eb"
SPANISH = "spaRV1909eb"

# Poetry is printed with its heading on a line above each reference, and the reference indented.
_REFERENCE = re.compile(
    r"(?:^[^\n]*\n(?=  ))?^ *((?:[IV]+ )?[A-Z][A-Za-z ]+ \d+:\d+):", re.MULTILINE
)
_FOOTNOTE = re.compile(r"\[(?:\d+:\d+ [^]]*)?\]")
_MARKUP = re.compile(r"<[^>]*>")
_HEADING = re.compile(r"^salmo\b[^.]*\.|^(?:de david|al músico principal)\b[^.:]*[.:]")


def verses() -> tuple[Pair, ...]:
    """Every shipped pair of an English verse and its Spanish one, in the order of the books."""
    lines = lzma.decompress(SHIPPED.read_bytes()).decode().splitlines()
    pairs = (line.split("\t") for line in lines)
    return tuple((english, spanish) for english, spanish in pairs)


def verse_parts() -> dict[str, list[Pair]]:
    """The verses in three parts: 16,386 / 534 / 891."""
    pairs = verses()
    places = split(None, len(pairs), SPLIT_SEED, HELD_OUT)
    return {name: [pairs[i] for i in rows] for name, rows in places.items()}


def words(text: str) -> list[str]:
    """Words and punctuation marks, in lower case."""
    return WORD.findall(text.lower().replace("’", "'"))


def sentence(parts: Sequence[str]) -> str:
    """Words and punctuation marks as a person writes them."""
    text = re.sub(r" ([.,;:!?)\]])", r"\1", " ".join(parts))
    return re.sub(r"([(\[¡¿]) ", r"\1", text)


def tidy(text: str) -> str:
    """A verse in lower case without footnotes, markup and quotation marks."""
    text = _MARKUP.sub(" ", _FOOTNOTE.sub(" ", text)).strip()
    text = re.split(r"\n\s*\n", text)[0]  # what follows an empty line is the next psalm's heading
    return sentence(words(re.sub(r"[“”‘\"«»]|’(?!\w)", "", text)))


def aligned(english: str, spanish: str) -> list[Pair]:
    """Pairs of verses with the same reference, of at most ``MOST_WORDS`` words, from two texts as
    ``diatheke`` prints them.
    """
    target = _by_reference(spanish)
    pairs: dict[str, str] = {}
    for reference, source in _by_reference(english).items():
        translation = _HEADING.sub("", target.get(reference, "")).strip()
        sizes = [len(text.split()) for text in (source, translation)]
        if min(sizes) >= 2 and max(sizes) <= MOST_WORDS and max(sizes) <= 2.5 * min(sizes):
            pairs.setdefault(source, translation)
    return list(pairs.items())


def _by_reference(text: str) -> dict[str, str]:
    parts = _REFERENCE.split(text)
    return {name: tidy(verse) for name, verse in zip(parts[1::2], parts[2::2], strict=True)}


def _printed(module: str) -> str:
    if (diatheke := shutil.which("diatheke")) is None:
        raise BadInput(
            "The verses are read with diatheke, which is not installed.",
            "Install it with: apt-get install diatheke sword-text-web sword-text-sparv",
        )
    command = [diatheke, "-b", module, "-o", "f", "-f", "plain", "-k", "Gen-Rev"]
    printed = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - fixed words
    return printed.stdout.decode("utf-8", errors="replace")


def main() -> None:
    pairs = aligned(_printed(ENGLISH), _printed(SPANISH))
    text = "".join(f"{english}\t{spanish}\n" for english, spanish in pairs)
    SHIPPED.parent.mkdir(exist_ok=True)
    SHIPPED.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(pairs)} pairs, {SHIPPED.stat().st_size} bytes")


if __name__ == "__main__":
    main()
