"""Texts with their values: words coloured by what they add, one row per attribution.

What is drawn is a pure function of results (``rows``); the component only builds elements from it,
each word as text, so that nothing a person pastes is ever read as HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from core.results import Attribution
from core.results.levels import Grouped, at_level
from core.tasks import Tokens
from dashboard import state
from dashboard.theme import accent, greys, mixed, readable, signed

_LOOSE = 0.1  # of f(x) - f(baseline): a larger delta is spoken of
_PARTS = ("", "output", "other output")
_CSS = """
.texts { font-size: 1rem; }
.row { margin: 0 0 1.1rem; }
.head { font-size: .875rem; font-weight: 600; }
.note { font-size: .8rem; color: var(--quiet); font-weight: 400; margin-left: .5rem; }
.text {
  line-height: 2; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext;
  max-height: 22rem; overflow-y: auto;
}
.unit { border-radius: 3px; padding: .12em .08em; cursor: pointer; }
.unit.special {
  font-size: .75em; border: 1px dashed var(--quiet); padding: .12em .3em; margin: 0 .15em;
}
.unit.same { outline: 2px solid var(--quiet); }
.part { font-size: .75rem; color: var(--quiet); margin-right: .5rem; }
.scale {
  display: inline-flex; align-items: center; gap: .4rem; margin: 0 1.4rem .6rem 0;
  font-size: .8rem; color: var(--quiet);
}
.bar { width: 7rem; height: .7rem; border-radius: 2px; }
"""
_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector('.texts');
  box.style.setProperty('--quiet', data.quiet);
  const make = (name, kind, text) => {
    const node = document.createElement(name);
    if (kind) node.className = kind;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const mark = (group, on) => box.querySelectorAll(`[data-group="${group}"]`)
    .forEach((node) => node.classList.toggle('same', on));
  box.replaceChildren(
    ...data.scales.map((scale) => {
      const line = make('span', 'scale');
      const bar = make('span', 'bar');
      bar.style.background = scale.gradient;
      line.append(make('span', '', scale.low), bar, make('span', '', scale.high));
      return line;
    }),
    ...data.rows.map((row) => {
      const line = make('div', 'row');
      const head = make('div', 'head', row.title);
      head.append(make('span', 'note', row.note));
      const text = make('div', 'text');
      text.dir = 'auto';
      row.pieces.forEach((piece) => {
        if (piece.part) { text.append(make('span', 'part', piece.part)); return; }
        if (piece.group === null) { text.append(piece.text); return; }
        const unit = make('span', piece.special ? 'unit special' : 'unit', piece.text);
        unit.style.background = piece.colour;
        unit.style.color = piece.ink;
        unit.title = piece.hint;
        unit.dataset.group = piece.group;
        unit.onmouseenter = () => mark(piece.group, true);
        unit.onmouseleave = () => mark(piece.group, false);
        unit.onclick = () => setTriggerValue('picked', piece.group);
        text.append(unit);
      });
      line.append(head, text);
      return line;
    }),
  );
}
"""


@dataclass(frozen=True)
class Piece:
    """A stretch of text: ``group`` is its place among the groups, None for what lies between.

    ``part`` is not text but says that another part begins.
    """

    text: str
    group: int | None = None
    special: bool = False
    part: str = ""


def pieces(grouped: Grouped) -> list[Piece]:
    """The whole text in order, cut into groups and what lies between them."""
    found: list[Piece] = []
    reached, part = 0, 0
    for place, (start, end) in enumerate(grouped.spans):
        special, here = grouped.special[place], grouped.parts[place]
        start, end = max(start, reached), max(end, reached)
        if here != part and not (special and start == end == len(grouped.text)):
            found.append(Piece(grouped.text[reached:start].rstrip("\n") + "\n"))
            found.append(Piece("", part=_PARTS[here]))
            part = here
        elif start > reached:
            found.append(Piece(grouped.text[reached:start]))
        found.append(
            Piece(grouped.labels[place], place, special=True)
            if special
            else Piece(grouped.text[start:end] or grouped.labels[place], place)
        )
        reached = end
    if reached < len(grouped.text):
        found.append(Piece(grouped.text[reached:]))
    return found


def grouped(attribution: Attribution, level: str, fold_special: bool) -> Grouped:
    """The values of a text's attribution at a level."""
    if not isinstance(attribution.axis, Tokens):
        raise TypeError(f"'{attribution.example}' is not a text")
    return at_level(attribution.axis, attribution.values, level, fold_special)


def limits(results: Sequence[Attribution], level: str, fold: bool, shared: bool) -> list[float]:
    """The value at which colours end, for each result: the largest of its unit, or its own. Special
    tokens, to which attention sends what it has no use for, do not count.
    """
    own = [_largest(grouped(each, level, fold)) for each in results]
    if not shared:
        return own
    of_unit: dict[str, float] = {}
    for each, largest in zip(results, own, strict=True):
        of_unit[each.unit] = max(of_unit.get(each.unit, 0.0), largest)
    return [of_unit[each.unit] for each in results]


def colour(value: float, limit: float, is_signed: bool, dark: bool) -> tuple[str, str]:
    """The background of a value and a colour of writing that can be read on it."""
    share = min(1.0, max(-1.0, value / limit)) if limit > 0 else 0.0
    if is_signed:
        background = mixed(signed(dark), 0.5 + share / 2)
    else:
        background = mixed(((0.0, greys(dark).page), (1.0, accent(dark))), share)
    return background, readable(background)


def rows(
    results: Sequence[Attribution],
    titles: Mapping[str, str],
    *,
    level: str = "word",
    fold_special: bool = True,
    sign: str = "both",
    shared: bool = True,
    dark: bool = False,
) -> list[dict[str, Any]]:
    """What each row says: title, note and pieces with their colours, as plain values."""
    found = []
    for each, limit in zip(results, limits(results, level, fold_special, shared), strict=True):
        groups = grouped(each, level, fold_special)
        values = _of_sign(groups.values, sign) if each.signed else groups.values
        note = [f"{each.fit.level} · {each.provenance.seconds:.2g} s"]
        if each.delta is not None:
            note.append(f"delta {each.delta:+.2g}{_too_large(each)}")
        found.append(
            {
                "title": f"{titles.get(each.method, each.method)} · {each.target.title}",
                "note": " · ".join(note),
                "pieces": [_shown(piece, values, limit, each, dark) for piece in pieces(groups)],
            }
        )
    return found


def scales(
    results: Sequence[Attribution], level: str, fold: bool, shared: bool, dark: bool
) -> list[dict[str, str]]:
    """The legends: one per unit with a shared scale, else one that says what the ends are."""
    found: dict[str, dict[str, str]] = {}
    for each, limit in zip(results, limits(results, level, fold, shared), strict=True):
        end = f"{limit:.3g}" if shared else "largest of each"
        stops = signed(dark) if each.signed else ((0.0, greys(dark).page), (1.0, accent(dark)))
        ramp = ", ".join(tone for _, tone in stops)
        low = f"against −{end}" if each.signed else "0"
        high = f"+{end} for" if each.signed else end
        found.setdefault(
            each.unit,
            {
                "low": low,
                "high": f"{high} ({each.unit})",
                "gradient": f"linear-gradient(90deg, {ramp})",
            },
        )
    return list(found.values())


def draw(
    shown: Sequence[Mapping[str, Any]],
    legends: Sequence[Mapping[str, str]],
    *,
    dark: bool,
    on_pick: Callable[[int], None] | None = None,
    key: str = "texts",
) -> None:
    """Draw rows and legends; ``on_pick`` gets the place of the group that is clicked."""
    component = st.components.v2.component(
        "fluoroscope_texts",
        html='<div class="texts" role="group" aria-label="Attributions of the text"></div>',
        css=_CSS,
        js=_JS,
    )

    def picked() -> None:
        place = state.read(key).picked
        if place is not None and on_pick is not None:
            on_pick(int(place))

    component(
        key=key,
        data={"rows": list(shown), "scales": list(legends), "quiet": greys(dark).quiet},
        on_picked_change=picked,
    )


def _largest(groups: Grouped) -> float:
    plain = [v for v, special in zip(groups.values, groups.special, strict=True) if not special]
    return float(np.abs(plain or groups.values).max(initial=0))


def _too_large(each: Attribution) -> str:
    """What to do about a sum that is far from what it should be."""
    difference = abs(each.score - (each.baseline_score or 0.0))
    if "n_steps" not in each.settings or abs(each.delta or 0.0) <= _LOOSE * difference:
        return ""
    return ": more steps are needed (Settings)"


def _of_sign(values: npt.NDArray[np.float64], sign: str) -> npt.NDArray[np.float64]:
    low = 0.0 if sign == "positive" else -np.inf
    high = 0.0 if sign == "negative" else np.inf
    clipped: npt.NDArray[np.float64] = np.clip(values, low, high)
    return clipped


def _shown(
    piece: Piece, values: npt.NDArray[np.float64], limit: float, each: Attribution, dark: bool
) -> dict[str, Any]:
    if piece.part:
        return {"part": piece.part}
    if piece.group is None:
        return {"text": piece.text, "group": None}
    value = float(values[piece.group])
    background, ink = colour(value, limit, each.signed, dark)
    return {
        "text": piece.text,
        "group": piece.group,
        "special": piece.special,
        "colour": background,
        "ink": ink,
        "hint": f"{piece.text.strip()}  {value:+.4g}"
        if each.signed
        else f"{piece.text}  {value:.4g}",
    }
