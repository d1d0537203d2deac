"""Colours: contrast, symmetry around zero, and agreement with Streamlit's configuration."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
from streamlit import config

from dashboard import theme

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
APPEARANCES = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])

# Machado, Oliveira & Fernandes (2009), severity 1.0, for linear RGB.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    x, y, z = np.array(to_xyz) @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@APPEARANCES
def test_text_stands_out_from_page_and_panel(dark: bool) -> None:
    tone = theme.greys(dark)
    for text, ground in itertools.product((tone.text, tone.quiet), (tone.page, tone.panel)):
        assert contrast(text, ground) >= 4.5
    assert contrast(theme.accent(dark), tone.page) >= 4.5


@APPEARANCES
def test_signed_scale_is_symmetric_and_neutral_at_zero(dark: bool) -> None:
    scale = theme.signed(dark)
    places = [at for at, _ in scale]
    assert places == [1 - at for at in reversed(places)]
    assert dict(scale)[0.5] == theme.greys(dark).page
    for (_, against), (_, for_) in zip(scale, reversed(scale), strict=True):
        assert abs(lab(linear(against))[0] - lab(linear(for_))[0]) < 8


@APPEARANCES
@pytest.mark.parametrize("kind", BLINDNESS)
def test_signs_stay_apart_for_the_colour_blind(dark: bool, kind: str) -> None:
    scale = theme.signed(dark)
    seen = [lab(np.array(BLINDNESS[kind]) @ linear(colour)) for _, colour in scale]
    for low, high in ((0, -1), (1, -2)):
        assert np.linalg.norm(seen[low] - seen[high]) > 40


@APPEARANCES
def test_translucent_scale_is_clear_at_zero_and_opaque_at_the_ends(dark: bool) -> None:
    alphas = {at: float(c.rstrip(")").split(",")[3]) for at, c in theme.translucent(dark)}
    assert alphas[0.0] == alphas[1.0] == 1
    assert alphas[0.5] == 0
    assert all(alphas[at] == alphas[1 - at] for at in alphas)
    rising = [alphas[at] for at in sorted(alphas) if at >= 0.5]
    assert rising == sorted(set(rising))


def test_classes_have_the_colours_of_okabe_and_ito_and_repeat() -> None:
    assert theme.class_colour(0) == "#0072b2"
    assert len({theme.class_colour(index) for index in range(len(theme.CLASSES))}) == 7
    assert theme.class_colour(7) == theme.class_colour(0)


@pytest.mark.parametrize(("kind", "dark"), [("dark", True), ("light", False), (None, False)])
def test_appearance_is_light_unless_the_browser_says_dark(kind: str | None, dark: bool) -> None:
    assert theme.is_dark(kind) is dark


@APPEARANCES
def test_template_and_configuration_share_their_colours(dark: bool) -> None:
    tone, set_ = theme.greys(dark), CONFIG["theme"]["dark" if dark else "light"]
    layout = theme.template(dark).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == set_["backgroundColor"] == tone.page
    assert layout.font.color == set_["textColor"] == tone.text
    assert set_["linkColor"] == theme.accent(dark)
    assert set_["borderColor"] == tone.line
    assert contrast("#ffffff", set_["primaryColor"]) >= 4.5  # Streamlit writes white on it
    assert contrast(set_["primaryColor"], tone.page) >= 3  # WCAG 2.2 for controls
    assert contrast(set_["textColor"], set_["sidebar"]["backgroundColor"]) >= 4.5


def test_configuration_names_options_that_streamlit_has() -> None:
    known = set(config.get_config_options())

    def names(table: dict[str, object], prefix: str) -> list[str]:
        found = []
        for name, value in table.items():
            path = f"{prefix}.{name}" if prefix else name
            found += names(value, path) if isinstance(value, dict) else [path]
        return found

    assert not [name for name in names(CONFIG, "") if name not in known]


def test_configuration_is_found_beside_the_script_and_keeps_to_this_machine() -> None:
    beside = ROOT / "dashboard" / ".streamlit" / "config.toml"
    assert tomllib.loads(beside.read_text(encoding="utf-8")) == CONFIG
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["client"]["showErrorDetails"] == "none"
