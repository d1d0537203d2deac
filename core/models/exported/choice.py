"""Which inputs of a network are looked into: one, or the columns of a table together.

    "look_into": "after"      in a card, or ["age", "income"] where several are columns

What can be looked into is tried when a file is opened, each for itself: ``ways`` of what was found.
So another can be chosen at any time, and the file need not be opened again. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import BadModel, shortened

Given = Mapping[str, Any]
"""An input as an exported program describes it: ``name``, ``dtype``, ``least`` and ``most``."""
_MOST = 8  # inputs that are tried
_NEXT = "Say it with --look-into NAME, or core.pack(…, look_into=NAME)."


def names(said: Any) -> tuple[str, ...]:
    """The names that a card or a person says, with commas or as a list. Raises ``BadModel``."""
    parts = said.split(",") if isinstance(said, str) else said
    if not isinstance(parts, (list, tuple)) or not all(isinstance(each, str) for each in parts):
        raise BadModel(
            f"What to look into is {shortened(repr(said), 60)}, no name of an input.", _NEXT
        )
    return tuple(dict.fromkeys(each.strip() for each in parts if each.strip()))


def chosen(
    inputs: Sequence[Given], held: Mapping[str, Any], wanted: Sequence[str] = ()
) -> tuple[list[Given], list[Given]]:
    """The inputs that are looked into, and those that are held: all but the ``wanted`` ones.

    Where nothing is wanted, of those that are not ``held`` the first picture is looked into, else
    the first text, else the first row, or all where they are the columns of a table. Raises
    ``BadModel`` when nothing is left, for a name that none has, and for several that are no rows.
    """
    _check(inputs, held, wanted)
    left = [each for each in inputs if each["name"] in (wanted or {e["name"] for e in inputs})]
    left = [each for each in left if each["name"] not in held]
    if not left:
        raise BadModel("Every input of the network is held.", "Leave the one to look into free.")
    if len(left) > 1 and not all(_kind(each) == "row" for each in left):
        if wanted:
            raise BadModel(
                f"{_listed(wanted)} cannot be looked into together: only rows of numbers can, as "
                "the columns of a table.",
                _NEXT,
            )
        follows = next((each["name"] for each in left if "decoder" in each["name"].lower()), "")
        if follows and all(_kind(each) != "text" or of_output(each["name"]) for each in left):
            raise BadModel(
                f"The network takes '{shortened(follows, 60)}', which is another for every input, "
                "and no text beside it.",
                "Give an encoder–decoder as the folder that save_pretrained(folder) writes.",
            )
        kinds = [_kind(each) for each in left]
        best = next((kind for kind in ("picture", "text", "row") if kind in kinds), kinds[0])
        left = [left[kinds.index(best)]]
    looked = {each["name"] for each in left}
    return left, [each for each in inputs if each["name"] not in looked]


def _check(inputs: Sequence[Given], held: Mapping[str, Any], wanted: Sequence[str]) -> None:
    known = [each["name"] for each in inputs]
    for name in wanted:
        if name not in known:
            raise _unknown(name, _listed(known))
        if name in held:
            raise BadModel(f"'{name}' is held and looked into.", "Leave out one of the two.")


def written(inputs: Sequence[Given], wanted: Sequence[str] = ()) -> str:
    """The input that takes what an encoder–decoder has written so far, beside the text that is
    looked into; empty for other networks.
    """
    texts = [str(each["name"]) for each in inputs if _kind(each) == "text"]
    follows = [name for name in texts if of_output(name)]
    if not follows or len(texts) == len(follows) or {*wanted} & {*follows}:
        return ""
    return follows[0]


def of_output(name: str) -> bool:
    """Whether an input is of the output, by what it is called."""
    return "decoder" in name.lower() or name.lower().startswith(("tgt", "trg", "target"))


def choices(inputs: Sequence[Given]) -> list[tuple[str, ...]]:
    """What of ``inputs`` can be looked into: each picture, text and row, at most eight, and all
    together where they are the columns of a table.
    """
    single = [(each["name"],) for each in inputs if _kind(each)]
    rows = tuple(each["name"] for each in inputs if _kind(each) == "row")
    table = [rows] if len(rows) == len(inputs) > 1 else []
    return [*table, *single[:_MOST]]


def _kind(given: Given) -> str:
    number = given["dtype"].startswith(("float", "bfloat"))
    if number:
        return {4: "picture", 2: "row"}.get(len(given["least"]), "")
    return "text" if given["dtype"].startswith(("int", "uint")) and len(given["least"]) == 2 else ""


def told(found: Mapping[str, Any], wanted: Sequence[str]) -> str:
    """A choice as a person reads it: ``image: picture, 3 × 16 × 16``."""
    if len(wanted) > 1:
        return f"{' and '.join(wanted)}, together as the columns of a table"
    given = next(each for each in found["inputs"] if each["name"] == wanted[0])
    sizes = zip(given["least"][1:], given["most"][1:], strict=True)
    shape = " × ".join(str(least) if least == most else "any" for least, most in sizes)
    kind = _kind(given)
    what = {"picture": f"picture, {shape}", "text": "text", "row": f"{shape} numbers"}
    return f"{wanted[0]}: {what.get(kind, shape)}"


def looked(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the inputs that are looked into."""
    beside = {*found.get("held", {}), *found.get("filled", {})}
    return tuple(each["name"] for each in found["inputs"] if each["name"] not in beside)


def offered(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What can be looked into, where there is a choice."""
    good = [tuple(way["looked"]) for way in found.get("ways", ()) if "refused" not in way]
    return good if len(good) > 1 else []


def arranged(found: Mapping[str, Any], wanted: Sequence[str]) -> Mapping[str, Any]:
    """What was found, as it is where the ``wanted`` inputs are looked into.

    Raises ``BadModel`` for what cannot be looked into.
    """
    if not wanted or {*wanted} == {*looked(found)}:
        return found
    ways = found.get("ways", ())
    way = next((each for each in ways if {*each["looked"]} == {*wanted}), None)
    if way is None:
        known = "; ".join(_listed(each) for each in offered(found))
        raise _unknown(", ".join(wanted), known or _listed(looked(found)))
    if "refused" in way:
        raise BadModel(
            f"{_listed(wanted)} cannot be looked into: {way['refused']}", "Look into another input."
        )
    by_name = {each["name"]: each for each in found["inputs"]}
    seen = {key: value for key, value in way.items() if key not in ("looked", "order")}
    return {**found, **seen, "inputs": [by_name[name] for name in way["order"]]}


def fits(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether what is said of how pictures are prepared holds for the other input, too."""
    one, other = before["inputs"][0], after["inputs"][0]
    alike = all(one[key][1:] == other[key][1:] for key in ("least", "most"))
    return alike and _kind(one) == _kind(other) == "picture"


def same_kind(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether both are pictures, texts or rows, so that the task stays."""
    return _kind(before["inputs"][0]) == _kind(after["inputs"][0])


def _unknown(name: str, known: str) -> BadModel:
    return BadModel(
        f"'{shortened(name, 60)}' cannot be looked into. What can: {shortened(known, 200)}.", _NEXT
    )


def _listed(wanted: Sequence[str]) -> str:
    return " and ".join(f"'{each}'" for each in wanted)
