"""The limits in force, and how to change them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.errors import FluoroscopeError
from core.settings import FILE, MODELS, MODELS_VARIABLE, models, settings
from dashboard import cached, state


def sound() -> bool:
    """Whether the settings can be read; else it is said what is wrong with them."""
    try:
        settings()
        models()
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return False
    return True


def draw() -> None:
    """A table of all settings with their values and where these come from."""
    st.markdown("**Limits**")
    place = cached.place().root
    try:
        found, code = settings(place), models(place)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    rows = {
        "Setting": [each.limit.name for each in found],
        "Value": [f"{each.value:,g} {each.limit.unit}" for each in found],
        "From": [each.source for each in found],
        "What it bounds": [each.limit.about for each in found],
    }
    st.table(pd.DataFrame(rows).map(state.plain).set_index("Setting"))
    st.caption(
        f"To change one, write `upload_mb = 2000` into `{FILE}` in the workspace, or set the "
        "environment variable `FLUOROSCOPE_UPLOAD_MB`, which counts before the file. A changed "
        "file holds at once, for uploads when the server is started anew."
    )
    listed = ", ".join(state.plain(each) for each in code)
    st.caption(
        f"Networks that your own code makes: {listed or 'none'}. To add one, write "
        f'`{MODELS} = ["package.module:function"]` into the same file, or set '
        f"`{MODELS_VARIABLE}`; no page can. The function runs in the process that computes, and is "
        "looked for in installed packages and in the folder where the server was started."
    )
