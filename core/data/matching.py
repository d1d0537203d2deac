"""A stranger's table beside the columns that a model reads: which is which, what is missing, what
the model cannot know; and its rows as the model wants them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.data.cells import MISSING_TEXTS
from core.data.splits import counted
from core.data.table import Feature

Kind = Literal["number", "category", "ignored"]
KINDS: Final[tuple[Kind, ...]] = ("number", "category", "ignored")
NOWHERE: Final = ""
_LISTED = 4


@dataclass(frozen=True)
class Match:
    """How one column of the model is read: from the table's column ``source`` (empty if there is
    none), as a ``kind``, and ``why``. ``missing`` values are empty, ``unknown`` ones no numbers, or
    no categories of the model.
    """

    name: str
    source: str
    kind: Kind
    why: str
    missing: int
    unknown: int

    @property
    def plain(self) -> bool:
        """Whether there is nothing to be said of it."""
        return bool(self.source) and not self.unknown and self.why.startswith("the same name")


def features_of(raw: Mapping[str, Any]) -> list[Feature]:
    """The columns that a model reads by what its card says: names, and categories where it knows
    them.
    """
    return [
        Feature(str(each["name"]), tuple(map(str, each.get("categories", ()))))
        for each in (raw.get("preprocessing") or {}).get("features", ())
    ]


def matched(
    features: Sequence[Feature],
    rows: Sequence[Mapping[str, Any]],
    by_hand: Mapping[str, tuple[str, str]] | None = None,
) -> tuple[Match, ...]:
    """How each column of the model is read from ``rows``: from a column of the same name, whatever
    its case and punctuation, if just one has it; ``by_hand`` says for some names from where and as
    what instead.
    """
    present = list(dict.fromkeys(name for row in rows[:1_000] for name in row))
    found = []
    for each in features:
        source, why = _source(each.name, present)
        kind: Kind = "category" if each.categories else "number"
        if by_hand and each.name in by_hand:
            given, as_kind = by_hand[each.name]
            source, why = (given, "by hand") if given in present else (NOWHERE, "by hand")
            kind = next((one for one in KINDS if one == as_kind), kind)
        values = [row.get(source) for row in rows] if source else [None] * len(rows)
        missing = sum(map(_empty, values))
        unknown = 0
        if source and kind == "number":
            unknown = sum(not _empty(value) and _number(value) is None for value in values)
            good = len(values) - missing - unknown
            why += f"; {good:,} of {len(values):,} values are numbers"
        elif source and kind == "category" and each.categories:
            unknown = sum(not _empty(v) and _text(v) not in each.categories for v in values)
            why += f"; the model knows {counted(len(each.categories), 'category', 'categories')}"
        found.append(Match(each.name, source, kind, why, missing, unknown))
    return tuple(found)


def as_read(matches: Sequence[Match], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the model's columns alone; what is missing, ignored, or no number where one is
    read is None.
    """

    def value(match: Match, row: Mapping[str, Any]) -> Any:
        given = row.get(match.source) if match.source else None
        if match.kind == "ignored" or _empty(given):
            return None
        return _number(given) if match.kind == "number" else _text(given)

    return [{match.name: value(match, row) for match in matches} for row in rows]


def told(matches: Sequence[Match], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence each for columns that are missing, extra, renamed, or hold what the model cannot
    know.
    """
    said = []
    gone = [each.name for each in matches if not each.source and each.kind != "ignored"]
    if gone:
        said.append(
            f"It has no {_named(gone)}, which the model reads: taken as missing unless you say "
            "where to read it from."
        )
    other = [
        f"{each.source} as {each.name}"
        for each in matches
        if each.source and each.source.strip().lower() != each.name.strip().lower()
    ]
    if other:
        said.append(f"Read under another name: {_listed(other)}.")
    strange = [f"{each.name} ({each.unknown:,})" for each in matches if each.unknown]
    if strange:
        said.append(f"Values that the model cannot know: {_listed(strange)}.")
    used = {each.source for each in matches}
    present = dict.fromkeys(name for row in rows[:1_000] for name in row)
    extra = [name for name in present if name not in used]
    if extra:
        said.append(f"The model does not read {_named(extra)}.")
    return said


def _source(name: str, present: Sequence[str]) -> tuple[str, str]:
    if name in present:
        return name, "the same name"
    for simple, why in ((str.lower, "the same name but for case"), (_bare, "a like name")):
        alike = [each for each in present if simple(each.strip()) == simple(name.strip())]
        if len(alike) == 1:
            return alike[0], why
    return NOWHERE, "no such column"


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _empty(value: Any) -> bool:
    return value is None or value != value or str(value).strip().lower() in MISSING_TEXTS


def _number(value: Any) -> float | None:
    """A number, also with a decimal comma; None for anything else."""
    text = str(value).strip()
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip().lower() if isinstance(value, bool) else str(value).strip()


def _named(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return f"column{'s' * (len(names) > 1)} {_listed(quoted)}"


def _listed(each: Iterable[str]) -> str:
    names = list(each)
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
