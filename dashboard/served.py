"""The dashboard as ``fluoroscope serve`` runs it: its pages, and what comes before them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.front import routes

app = st.App(str(Path(__file__).parent / "app.py"), routes=routes())
