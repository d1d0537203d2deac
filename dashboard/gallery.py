"""A strip of pictures to choose from, as a small component: each picture is a real button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard import state

_CSS = """
.strip { display: flex; flex-wrap: wrap; gap: 6px; }
button {
  padding: 0; border: 2px solid transparent; border-radius: 6px; background: none;
  cursor: pointer; line-height: 0; overflow: hidden;
}
button:hover { border-color: var(--st-border-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
button[aria-pressed="true"] { border-color: var(--st-primary-color); }
img { width: 52px; height: 52px; object-fit: cover; display: block; }
img.small { image-rendering: pixelated; }
"""

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const strip = parentElement.querySelector('.strip');
  const shown = JSON.stringify(data.items.map((item) => [item.name, item.picture.length]));
  if (strip.dataset.shown !== shown) {  // else a click while the page is drawn anew would be lost
    strip.dataset.shown = shown;
    strip.replaceChildren(...data.items.map((item) => {
      const button = document.createElement('button');
      const image = document.createElement('img');
      image.src = item.picture;
      image.alt = item.title;
      if (item.picture.startsWith('data:image/png')) image.className = 'small';
      button.title = item.title;
      button.type = 'button';
      button.append(image);
      return button;
    }));
  }
  data.items.forEach((item, place) => {
    const button = strip.children[place];
    button.setAttribute('aria-pressed', String(item.name === data.chosen));
    button.onclick = () => setTriggerValue('picked', item.name);
  });
}
"""


@dataclass(frozen=True)
class Thumbnail:
    """One picture of the strip: ``picture`` is a ``data:`` address, ``title`` is read aloud."""

    name: str
    title: str
    picture: str


def strip(
    items: Sequence[Thumbnail], chosen: str, on_pick: Callable[[str], None], key: str = "gallery"
) -> None:
    """Draw the strip; ``on_pick`` gets the name of the picture that is clicked."""
    component = st.components.v2.component(
        "fluoroscope_gallery",
        html='<div class="strip" role="group" aria-label="Examples"></div>',
        css=_CSS,
        js=_JS,
    )

    def picked() -> None:
        if name := state.read(key).picked:
            on_pick(name)

    component(
        key=key,
        data={
            "chosen": chosen,
            "items": [
                {"name": item.name, "title": item.title, "picture": item.picture} for item in items
            ],
        },
        on_picked_change=picked,
    )
