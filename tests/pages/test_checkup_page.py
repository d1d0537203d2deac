"""The check-up on the Overview page."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.pages.driving import opened, words


def test_the_overview_has_the_check_up() -> None:
    app: AppTest = opened("views/overview.py", model="two_features")
    assert "Check-up" in [tab.label for tab in app.tabs]
    said = words(app)
    assert "Nothing stands in the way" in said
    assert ":material/check_circle:] | :gray[Good]" in said
    assert "Gradient to the input" in said
    assert not app.error
