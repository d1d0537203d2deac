"""Maps of attributions: the numbers drawn, their colours, and a layout that keeps still."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from core.provenance import Provenance
from core.results import Attribution, Fit
from core.tasks import PixelGrid, Target
from dashboard import theme
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.caption import caption, elided, escaped, method_title

EVIL = "<img src=x onerror=alert(1)>"
PROVENANCE = Provenance(
    "digits_cnn",
    "ab" * 32,
    ("cd" * 32,),
    "attribute",
    {},
    0,
    "cpu",
    0.3,
    created="2025-01-02T03:04",
)


def attribution(
    method: str = "integrated_gradients",
    *,
    shape: tuple[int, int, int] = (3, 8, 10),
    scale: float = 1.0,
    seed: int = 0,
    **changes: Any,
) -> Attribution:
    random = np.random.default_rng(seed)
    _, height, width = shape
    given: dict[str, Any] = {
        "method": method,
        "example": "cat.png",
        "target": Target(3, "cat"),
        "axis": PixelGrid(*shape),
        "values": (scale * random.normal(size=shape)).astype(np.float32),
        "score": 2.0,
        "fit": Fit("exact"),
        "settings": {"n_steps": 50, "baseline": "black"},
        "picture": random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "provenance": PROVENANCE,
        "baseline_score": 0.0,
        "delta": 0.01,
    }
    return Attribution(**given | changes)


def maps(figure: go.Figure) -> list[go.Heatmap]:
    return [x for x in figure.data if isinstance(x, go.Heatmap) and x.name != "pending"]


def pictures(figure: go.Figure) -> list[np.ndarray]:
    usual = figure.layout.template.data.image
    sources = [x.source or usual[0].source for x in figure.data if isinstance(x, go.Image)]
    files = [base64.b64decode(source.partition("base64,")[2]) for source in sources]
    return [np.asarray(Image.open(io.BytesIO(file))) for file in files]


def pixels(figure: go.Figure, index: int = 0) -> np.ndarray:
    own = maps(figure)[index].customdata
    return figure.layout.template.data.heatmap[0].customdata if own is None else own


def words(figure: go.Figure) -> str:
    return "\n".join(note.text for note in figure.layout.annotations)


def layout(figure: go.Figure) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(figure.to_json())["layout"]
    return {name: value for name, value in plain.items() if name != "annotations"}


@pytest.mark.parametrize("mode", ["overlay", "map"])
@pytest.mark.parametrize("sign", ["both", "positive", "negative"])
@pytest.mark.parametrize("shared", [True, False])
def test_values_are_drawn_untouched(mode: Any, sign: Any, shared: bool) -> None:
    results = [attribution(seed=seed) for seed in range(3)]
    figure = attribution_maps(results, mode=mode, sign=sign, shared_scale=shared)
    for drawn, result in zip(maps(figure), results, strict=True):
        assert drawn.z.dtype == np.float32
        np.testing.assert_array_equal(drawn.z, result.values.sum(0, dtype=np.float32))
        assert drawn.zsmooth is False


def test_one_scale_is_symmetric_and_reaches_the_largest_percentile() -> None:
    results = [attribution(scale=scale, seed=int(scale)) for scale in (1.0, 7.0, 3.0)]
    drawn = maps(attribution_maps(results))
    limit = max(np.percentile(np.abs(x.heatmap), 98) for x in results)
    assert {(x.zmin, x.zmax) for x in drawn} == {(-limit, limit)}
    assert [x.showscale for x in drawn] == [False, False, True]
    bar = drawn[-1].colorbar
    assert list(bar.tickvals) == [-limit, 0, limit]
    assert bar.ticktext[1] == "0"
    assert "98%" in bar.title.text


def test_each_its_own_scale_is_symmetric_and_written_below() -> None:
    results = [attribution(scale=scale) for scale in (1.0, 7.0)]
    figure = attribution_maps(results, shared_scale=False)
    for drawn, result in zip(maps(figure), results, strict=True):
        limit = np.percentile(np.abs(result.heatmap), 98)
        assert (drawn.zmin, drawn.zmax) == (-limit, limit)
        assert f"±{limit:.2g}" in words(figure)
    assert list(maps(figure)[-1].colorbar.ticktext) == ["against", "0", "for"]


@pytest.mark.parametrize("dark", [False, True])
def test_a_sign_keeps_its_colours_and_the_other_becomes_zero(dark: bool) -> None:
    result = attribution()

    def draw(sign: Any) -> go.Heatmap:
        return maps(attribution_maps([result], sign=sign, mode="map", dark=dark))[0]

    both, positive, negative = draw("both"), draw("positive"), draw("negative")
    assert (positive.zmin, positive.zmax) == (0, both.zmax)
    assert (negative.zmin, negative.zmax) == (both.zmin, 0)
    zero, against, for_ = (dict(theme.signed(dark))[at] for at in (0.5, 0.0, 1.0))
    assert [both.colorscale[0][1], both.colorscale[-1][1]] == [against, for_]
    assert [positive.colorscale[0], positive.colorscale[-1]] == [(0, zero), (1, for_)]
    assert [negative.colorscale[0], negative.colorscale[-1]] == [(0, against), (1, zero)]
    assert list(positive.colorscale[1]) == [0.5, theme.signed(dark)[3][1]]


@pytest.mark.parametrize("values", [0.0, np.nan])
def test_a_map_of_nothing_has_a_scale(values: float) -> None:
    empty = attribution(values=np.full((1, 8, 10), values, np.float32))
    drawn = maps(attribution_maps([empty]))[0]
    assert (drawn.zmin, drawn.zmax) == (-1, 1)


def test_one_bright_pixel_of_many_black_ones_is_visible() -> None:
    values = np.zeros((1, 40, 40), np.float32)
    values[0, 3, 4] = 5
    sparse = attribution(shape=(1, 40, 40), values=values)
    assert maps(attribution_maps([sparse]))[0].zmax == 5


def test_input_comes_first_and_a_faded_grey_copy_lies_under_each_map() -> None:
    result = attribution()
    shown = pictures(attribution_maps([result, result]))
    assert len(shown) == 3
    np.testing.assert_array_equal(shown[0], result.picture)
    luma = result.picture @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(shown[1], 255 - (255 - luma) * 0.3, atol=1)
    assert len(pictures(attribution_maps([result, result], mode="map"))) == 1


def test_overlay_lets_small_values_through_and_map_alone_is_solid() -> None:
    over = maps(attribution_maps([attribution()], opacity=0.4))[0]
    assert over.opacity == 0.4
    assert over.colorscale[8][1].endswith(",0.000)")
    alone = maps(attribution_maps([attribution()], mode="map", opacity=0.4))[0]
    assert alone.opacity == 1
    assert all(colour.startswith("#") for _, colour in alone.colorscale)


def test_hover_gives_row_column_value_and_input() -> None:
    result = attribution()
    figure = attribution_maps([result])
    drawn = maps(figure)[0]
    np.testing.assert_array_equal(pixels(figure), result.picture)
    for part in ("row %{y}", "column %{x}", "value %{z", "RGB %{customdata[0]}"):
        assert part in drawn.hovertemplate
    grey = attribution(picture=np.repeat(result.picture[..., :1], 3, axis=2))
    figure = attribution_maps([grey])
    np.testing.assert_array_equal(pixels(figure), result.picture[..., 0])
    assert "input %{customdata}" in maps(figure)[0].hovertemplate


def test_attributions_of_two_pictures_keep_their_own() -> None:
    one, other = attribution(), attribution(seed=1)
    figure = attribution_maps([one, other, one])
    np.testing.assert_array_equal(pixels(figure, 0), one.picture)
    np.testing.assert_array_equal(pixels(figure, 1), other.picture)
    np.testing.assert_array_equal(pixels(figure, 2), one.picture)
    first, second, third = pictures(figure)[1:]
    np.testing.assert_array_equal(first, third)
    assert (first != second).any()


@pytest.mark.parametrize("shared", [True, False])
def test_nothing_moves_when_a_pending_map_arrives(shared: bool) -> None:
    names = ("integrated_gradients", "occlusion", "saliency")
    results = [attribution(name) for name in names]
    titles = {name: name.title() for name in names}
    layouts = [
        layout(
            attribution_maps(
                results[:done],
                picture=results[0].picture,
                pending=[titles[name] for name in names[done:]],
                titles=titles,
                shared_scale=shared,
            )
        )
        for done in range(4)
    ]
    assert all(each == layouts[0] for each in layouts)


def test_a_pending_panel_is_drawn_with_its_title() -> None:
    figure = attribution_maps([attribution()], pending=["Saliency"])
    assert "Saliency" in words(figure)
    assert "computing…" in words(figure)
    assert [x.xaxis for x in figure.data if x.name == "pending"] == ["x3"]


def test_without_anything_there_is_still_a_figure() -> None:
    assert attribution_maps([]).layout.height > 0


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("size", [(28, 28), (60, 200), (200, 60)])
def test_panels_do_not_overlap_and_keep_their_aspect(count: int, size: tuple[int, int]) -> None:
    result = attribution(shape=(1, *size))
    figure = attribution_maps([result] * count)
    boxes = []
    for index in range(count + 1):
        number = "" if index == 0 else str(index + 1)
        across, down = figure.layout[f"xaxis{number}"], figure.layout[f"yaxis{number}"]
        leads = down.scaleanchor, down.matches, across.matches
        assert leads == (("x", None, None) if index == 0 else (None, "y", "x"))
        assert down.range == (size[0] - 0.5, -0.5)
        assert across.range == (-0.5, size[1] - 0.5)
        boxes.append((*across.domain, *down.domain))
    assert all(0 <= value <= 1 for box in boxes for value in box)
    for index, (left, right, low, high) in enumerate(boxes):
        for other in boxes[:index]:
            assert left >= other[1] or right <= other[0] or low >= other[3] or high <= other[2]
    assert len({box[0] for box in boxes}) <= 5


@pytest.mark.parametrize(
    ("width", "columns", "tall"), [(520, 3, False), (780, 5, False), (1240, 5, True)]
)
def test_a_wider_page_gets_more_and_larger_panels(width: int, columns: int, tall: bool) -> None:
    figure = attribution_maps(
        [attribution("integrated_gradients", shape=(1, 28, 28))] * 4, width=width
    )
    across = {figure.layout[f"xaxis{i}"].domain for i in ("", 2, 3, 4, 5)}
    assert len(across) == columns
    low, high = figure.layout.yaxis.domain
    side = (high - low) * figure.layout.height
    left, right = figure.layout.xaxis.domain
    cell = (right - left) * (width - figure.layout.margin.r)
    assert side == pytest.approx(cell, abs=2), "a square picture fills its cell"
    titles = [note.text for note in figure.layout.annotations if "gradients" in note.text]
    assert all("…" not in title for title in titles)
    assert (titles[0] == "Integrated gradients") is tall


def test_columns_can_be_chosen() -> None:
    figure = attribution_maps([attribution()] * 3, columns=2)
    assert len({figure.layout[name].domain for name in ("xaxis", "xaxis2", "xaxis3")}) == 2


def test_caption_stands_below_and_takes_its_own_space() -> None:
    plain, captioned = (attribution_maps([attribution()], caption=c) for c in (None, EVIL))
    assert captioned.layout.height > plain.layout.height
    assert escaped(EVIL) in words(captioned)


def test_words_of_strangers_are_not_markup() -> None:
    result = attribution(target=Target(0, EVIL, 1, EVIL), method=EVIL)
    figure = attribution_maps([result], pending=[EVIL], titles={EVIL: EVIL}, caption=EVIL)
    text = json.dumps(figure.to_plotly_json(), default=lambda array: "")
    assert "<img" not in text
    assert "&lt;img" in text


@pytest.mark.parametrize("dark", [False, True])
def test_appearance(dark: bool) -> None:
    figure = attribution_maps([attribution()], dark=dark)
    assert figure.layout.template.layout.paper_bgcolor == theme.greys(dark).page


def test_only_maps_of_one_unit_share_a_scale() -> None:
    results = [
        attribution("saliency", scale=100.0, seed=1),
        attribution("deeplift", scale=2.0, seed=2),
        attribution("occlusion", scale=1.0, seed=3),
        attribution("grad_cam", scale=0.01, seed=4),
        attribution("smoothgrad", scale=300.0, seed=5),
    ]
    units = {"saliency": "gradient", "smoothgrad": "gradient", "grad_cam": "CAM"}
    figure = attribution_maps(results, units=units)
    own = [float(np.percentile(np.abs(each.heatmap), 98)) for each in results]
    expected = [max(own[0], own[4]), max(own[1:3]), max(own[1:3]), own[3], max(own[0], own[4])]
    assert [drawn.zmax for drawn in maps(figure)] == pytest.approx(expected)
    assert [drawn.showscale for drawn in maps(figure)] == [False, False, True, False, False]
    assert maps(figure)[2].colorbar.title.text.startswith("logits")
    for place, limit in enumerate(expected):
        beside = [x.text for x in figure.layout.annotations if x.xref == f"x{place + 2} domain"]
        assert any(f"±{limit:.2g}" in text for text in beside) is (place in (0, 3, 4))
    gradients = maps(attribution_maps(results[::4], units=units))
    assert gradients[-1].colorbar.title.text.startswith("gradient")


def test_a_map_that_looks_empty_says_so() -> None:
    strong, weak = attribution(scale=100.0), attribution("occlusion", scale=1.0)
    assert words(attribution_maps([strong, weak])).count("faint on this scale") == 1
    assert "faint" not in words(attribution_maps([strong, weak], shared_scale=False))
    assert "faint" not in words(attribution_maps([weak, weak]))


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.001, "<0.01 s"), (0.3, "0.30 s"), (12.34, "12.3 s")]
)
@pytest.mark.parametrize(("level", "word"), [("exact", "exact"), ("approximate", "approx.")])
def test_fit_and_time_stand_below(seconds: float, shown: str, level: Any, word: str) -> None:
    told = replace(PROVENANCE, seconds=seconds)
    figure = attribution_maps([attribution(fit=Fit(level, "why"), provenance=told)])
    assert f"{word} · {escaped(shown)}" in words(figure)


def test_a_digit_as_target_is_not_read_as_a_value() -> None:
    assert "target 3" in words(attribution_maps([attribution(target=Target(3, "3"))]))
    assert "target" not in words(attribution_maps([attribution(target=Target(3, "cat"))]))


def test_delta_is_given_where_there_is_one() -> None:
    assert "delta −0.25" in words(attribution_maps([attribution(delta=-0.25)]))
    assert "delta" not in words(attribution_maps([attribution(delta=None)]))


def test_twelve_panels_at_224_weigh_little_more_than_their_values() -> None:
    noise = [attribution(shape=(3, 224, 224), seed=seed) for seed in range(11)]
    smooth = np.add.outer(np.arange(224), np.arange(224))[..., None] // [2, 3, 4]
    results = [
        attribution(shape=(3, 224, 224), values=x.values, picture=smooth.astype(np.uint8))
        for x in noise
    ]
    bare = go.Figure([go.Heatmap(z=each.heatmap) for each in results]).to_json()
    assert len(attribution_maps(results).to_json()) < len(bare) + 300_000


def test_caption_names_what_made_the_figure() -> None:
    usual = {"integrated_gradients": {"baseline": "black"}}
    assert caption(attribution(), defaults=usual) == (
        "digits_cnn · cat.png · Integrated gradients (n_steps = 50) · target cat · 2025-01-02"
    )
    assert "baseline = black" in caption(attribution())
    rough = attribution(fit=Fit("approximate", "why"), settings={})
    assert "Integrated gradients (approximate)" in caption(rough)


def test_caption_of_several_names_each_method_and_target_once() -> None:
    first = attribution(settings={})
    other = attribution("grad_cam", settings={"layer": "conv2"}, target=Target(5, "dog"))
    again = attribution(settings={}, target=Target(5, "dog"))
    assert caption([first, other, again], titles={"grad_cam": "Grad-CAM"}) == (
        "digits_cnn · cat.png · Integrated gradients, Grad-CAM (layer = conv2) · "
        "targets cat, dog · 2025-01-02"
    )


def test_names_become_titles() -> None:
    assert method_title("grad_cam") == "Grad CAM"
    assert method_title("guided_backprop") == "Guided backprop"
    assert elided("abcdef", 4) == "abc…"
    assert elided("abcd", 4) == "abcd"
    assert escaped("<a> & b") == "&lt;a&gt; &amp; b"


def test_figures_need_neither_streamlit_nor_torch() -> None:
    names = sorted(path.stem for path in Path("dashboard/figures").glob("[!_]*.py"))
    imports = "".join(f"import dashboard.figures.{name}\n" for name in names)
    check = "import sys; print({'streamlit', 'torch', 'captum', 'pandas'} & set(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", f"{imports}{check}"], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "set()"


def test_magnitudes_have_no_sign_and_do_not_set_the_shared_scale() -> None:
    signed, plain = attribution(seed=1), attribution(seed=2, method="vargrad")
    figure = attribution_maps([signed, plain], unsigned=("vargrad",))
    first, second = maps(figure)
    limit = np.percentile(np.abs(signed.heatmap), 98)
    assert (first.zmin, first.zmax) == (-limit, limit)
    assert second.zmin == 0
    assert second.zmax == np.percentile(np.abs(plain.heatmap), 98)
    assert first.showscale
    assert not second.showscale
    assert any("0 to " in (note.text or "") for note in figure.layout.annotations)


def test_a_pending_map_keeps_its_place() -> None:
    first, last = attribution(seed=1), attribution(seed=2, method="saliency")
    figure = attribution_maps([first, None, last], pending=["Occlusion", "LIME"])
    assert [trace.xaxis for trace in maps(figure)] == ["x2", "x4"]
    waiting = [trace.xaxis for trace in figure.data if trace.name == "pending"]
    assert waiting == ["x3", "x5"]
    titles = [note.text for note in figure.layout.annotations if note.xref == "x3 domain"]
    assert "Occlusion" in titles
