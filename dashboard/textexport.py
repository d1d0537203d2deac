"""Coloured texts as files: HTML, SVG, PDF and LaTeX, from the same rows that the page shows.

HTML is laid out by whoever opens it. SVG and PDF come from Chromium, which lays the text out
first, so that right-to-left writing, ideographs, emoji and combining marks stand as they should;
in LaTeX that is the engine's part (LuaLaTeX or XeLaTeX for what is not Latin).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import EngineError, UnknownName
from dashboard import pagerenderer
from dashboard.metadata import sealed
from dashboard.theme import FONT, greys

FORMATS = ("html", "svg", "pdf", "tex")
# Words become elements where the browser has put them; a line break inside a word makes two.
_TO_SVG = """<script>
const space = 'http://www.w3.org/2000/svg';
const box = document.querySelector('.fluoroscope-texts');
const frame = box.getBoundingClientRect();
const svg = document.createElementNS(space, 'svg');
svg.setAttribute('xmlns', space);
svg.setAttribute('width', frame.width);
svg.setAttribute('height', frame.height);
svg.setAttribute('viewBox', `0 0 ${frame.width} ${frame.height}`);
const put = (name, about, text) => {
  const node = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(about)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  svg.append(node);
};
const ground = getComputedStyle(box).backgroundColor;
put('rect', { width: frame.width, height: frame.height, fill: ground });
box.querySelectorAll('span').forEach((span) => {
  const look = getComputedStyle(span);
  const stops = look.backgroundImage.match(/rgb\\([^)]*\\)/g);
  for (const r of span.getClientRects()) {
    const place = { x: r.x, y: r.y, width: r.width, height: r.height };
    if (stops) {
      const wide = r.width / 40;
      for (let i = 0; i < 40; i++) {
        const at = i / 39 * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
        const [a, b] = [stops[low], stops[low + 1]].map((c) => c.match(/[\\d.]+/g).map(Number));
        const mix = a.map((v, k) => Math.round(v + (b[k] - v) * (at - low)));
        put('rect', { ...place, x: r.x + i * wide, width: wide + 0.5, fill: `rgb(${mix})` });
      }
    } else if (!/^rgba\\(.*, 0\\)$/.test(look.backgroundColor)) {
      put('rect', { ...place, rx: 3, fill: look.backgroundColor });
    }
  }
});
const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, look = getComputedStyle(node.parentElement);
  const size = parseFloat(look.fontSize);
  for (const word of node.data.matchAll(/\\S+/gu)) {
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    const places = [...range.getClientRects()];
    if (!places.length) continue;
    const backwards = /[\\u0590-\\u08ff\\ufb1d-\\ufefc]/.test(word[0]);
    const r = places[0];
    put('text', {
      x: backwards ? r.right : r.left, y: r.bottom - (r.height - size) / 2 - size * 0.2,
      'font-size': size, 'font-family': look.fontFamily, 'font-weight': look.fontWeight,
      fill: look.color, direction: backwards ? 'rtl' : 'ltr',
    }, word[0]);
  }
}
document.body.replaceChildren(svg);
</script>"""
_WIDTH, _HEIGHT = 760, 1075  # pixels of a page, in the proportions of A4
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\ttfamily\char34}",
    "`": r"\textasciigrave{}",
    "'": "'{}",  # two of them, and two hyphens, would become one sign
    "-": "-{}",
}


def export(
    rows: Sequence[Mapping[str, Any]],
    legends: Sequence[Mapping[str, str]],
    format_: str,
    *,
    caption: str = "",
    document: Mapping[str, Any],
    dark: bool = False,
) -> bytes:
    """The file content in one of ``FORMATS``, with ``document`` as its metadata.

    Raises ``UnknownName`` for another format, ``MissingExtra`` when SVG or PDF need a browser and
    there is none.
    """
    if format_ not in FORMATS:
        raise UnknownName.of("format", format_, FORMATS)
    if format_ == "tex":
        return sealed(as_latex(rows, legends).encode(), format_, document)
    body = as_html(rows, legends, caption=caption, dark=dark)
    if format_ == "html":
        return sealed(as_page(body, dark=dark).encode(), format_, document)
    return sealed((as_svg if format_ == "svg" else as_pdf)(body, dark=dark), format_, document)


def as_html(
    rows: Sequence[Mapping[str, Any]],
    legends: Sequence[Mapping[str, str]],
    *,
    caption: str = "",
    dark: bool = False,
) -> str:
    """The rows of ``dashboard.texts.rows`` as the body of a page, every word escaped."""
    tone = greys(dark)
    parts = [
        f'<div class="fluoroscope-texts" style="font-family: {html.escape(FONT)}; '
        f"color: {tone.text}; background: {tone.page}; width: {_WIDTH}px; padding: 16px; "
        'box-sizing: border-box; font-size: 16px">'
    ]
    parts += [
        f'<div style="font-size: 13px; color: {tone.quiet}; margin-bottom: 8px">'
        f"{html.escape(legend['low'])} "
        f'<span style="display: inline-block; width: 110px; height: 11px; '
        f'background: {html.escape(legend["gradient"])}"></span> '
        f"{html.escape(legend['high'])}</div>"
        for legend in legends
    ]
    for row in rows:
        parts.append(
            f'<div style="font-size: 14px; font-weight: 600">{html.escape(row["title"])} '
            f'<span style="font-weight: 400; color: {tone.quiet}">{html.escape(row["note"])}</span>'
            '</div><div dir="auto" style="line-height: 2; white-space: pre-wrap; '
            'overflow-wrap: anywhere; unicode-bidi: plaintext; margin-bottom: 14px">'
        )
        parts += [_piece(piece, tone.quiet) for piece in row["pieces"]]
        parts.append("</div>")
    if caption:
        parts.append(
            f'<div style="font-size: 11px; color: {tone.quiet}">{html.escape(caption)}</div>'
        )
    return "".join([*parts, "</div>"])


def as_latex(rows: Sequence[Mapping[str, Any]], legends: Sequence[Mapping[str, str]]) -> str:
    r"""The rows as a LaTeX fragment; it needs ``\usepackage[table]{xcolor}`` and nothing else."""
    lines = ["% needs \\usepackage[table]{xcolor}; LuaLaTeX or XeLaTeX for what is not Latin"]
    lines += [f"% colours: {_one_line(each['low'] + ' to ' + each['high'])}" for each in legends]
    lines.append("\\begingroup\\setlength{\\fboxsep}{1pt}\\raggedright")
    for row in rows:
        title, note = _tex(row["title"]), _tex(row["note"])
        lines.append(f"\\noindent\\textbf{{{title}}} {{\\footnotesize {note}}}\\\\")
        written = "".join(_box(piece) for piece in row["pieces"]).strip("\n")
        lines.append(re.sub(r"\n+", r"\\\\\n", written) + "\\par\\medskip")
    return "\n".join([*lines, "\\endgroup", ""])


def as_page(body: str, *, script: str = "", dark: bool = False) -> str:
    """A whole page around ``as_html``; nothing else may be loaded by it."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    policy += "; script-src 'unsafe-inline'" if script else ""
    return (
        f'<!DOCTYPE html><html><head><meta charset="utf-8"><meta http-equiv='
        f'"Content-Security-Policy" content="{policy}"><title>Fluoroscope</title><style>'
        f"@page {{ size: {_WIDTH}px {_HEIGHT}px; margin: 0 }} "
        f"body {{ margin: 0; background: {greys(dark).page}; -webkit-print-color-adjust: exact; "
        "print-color-adjust: exact }"
        f"</style></head><body>{body}{script}</body></html>"
    )


def as_pdf(body: str, *, dark: bool = False) -> bytes:
    """What ``as_html`` gave, as a PDF with text that can be searched."""
    return pagerenderer.pdf(as_page(body, dark=dark))


def as_svg(body: str, *, dark: bool = False) -> bytes:
    """What ``as_html`` gave, laid out by Chromium, as rectangles and words in their places."""
    document = pagerenderer.dom(as_page(body, script=_TO_SVG, dark=dark))
    drawn = re.search(r"<svg\b.*?</svg>", document, re.DOTALL)
    if drawn is None:
        raise EngineError("The text could not be drawn as SVG.", "Export it as HTML.")
    return ('<?xml version="1.0" encoding="utf-8"?>\n' + drawn[0]).encode()


def _piece(piece: Mapping[str, Any], quiet: str) -> str:
    if piece.get("part"):
        return f'<span style="font-size: 12px; color: {quiet}">{html.escape(piece["part"])} </span>'
    if piece["group"] is None:
        return html.escape(piece["text"])
    edge = f"border: 1px dashed {quiet}; font-size: 12px; " if piece["special"] else ""
    return (
        f'<span title="{html.escape(piece["hint"], quote=True)}" style="{edge}border-radius: 3px; '
        f'padding: 2px 1px; background: {piece["colour"]}; color: {piece["ink"]}">'
        f"{html.escape(piece['text'])}</span>"
    )


def _box(piece: Mapping[str, Any]) -> str:
    if piece.get("part"):
        return f"{{\\footnotesize {_tex(piece['part'])}}} "
    if piece["group"] is None:
        return _tex(piece["text"])
    colour, ink = piece["colour"].lstrip("#").upper(), piece["ink"].lstrip("#").upper()
    box = f"\\colorbox[HTML]{{{colour}}}{{\\strut\\textcolor[HTML]{{{ink}}}{{%s}}}}"
    parts = re.split(r"(\s+)", piece["text"])  # a box for each word: none is broken across lines
    return "".join(
        ("\n" if "\n" in part else " ")
        if part.isspace()
        else part and box.replace("%s", _tex(part))
        for part in parts
    )


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
