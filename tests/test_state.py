"""What is in hand, as widgets and addresses change it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.pages.driving import param


def changes() -> None:
    """A page whose widgets speak after what they were drawn for is gone."""
    import streamlit as st

    from dashboard import state

    def says(bound: dict[str, object], value: str) -> None:
        st.session_state[bound["key"]] = value
        bound["on_change"]()  # type: ignore[operator]

    state.change(model="one")
    model = state.bind("model", "one", also={"target": "top"})
    target = state.bind("target", "top")
    steps = state.bind_setting("integrated_gradients", "n_steps", 50, 50)
    says(target, "3")
    says(steps, "20")
    st.text(f"{state.selection().target} {dict(state.selection().settings)}")
    says(model, "two")
    says(target, "5")
    says(steps, "30")
    st.text(f"{state.selection().target} {dict(state.selection().settings)}")
    says(model, "three")
    st.text(state.selection().model)
    state.addressed()


def test_a_widget_that_was_drawn_for_another_model_changes_nothing() -> None:
    app = AppTest.from_function(changes).run()
    assert not app.exception
    said = {"integrated_gradients.n_steps": "20"}
    assert [each.value for each in app.text] == [f"3 {said}", f"top {said}", "three"]
    assert param(app, "model") == ["three"]


def test_an_address_that_the_browser_had_before_takes_no_change_back() -> None:
    def page() -> None:
        import streamlit as st

        from dashboard import state

        if st.button("Change"):
            state.change(target="3")
        st.text(state.selection().target)
        state.addressed()

    app = AppTest.from_function(page)
    app.query_params["target"] = "1"
    app.run()
    app.button[0].click().run()
    assert param(app, "target") == ["3"]
    app.query_params["target"] = "1"  # as a request says that was on its way
    app.run()
    assert app.text[0].value == "3"
    app.query_params["target"] = "2"  # as a person types
    app.run()
    assert app.text[0].value == "2"
