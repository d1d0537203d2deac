"""The dashboard as ``fluoroscope serve`` runs it: its pages, and what comes before them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from dashboard.front import Policy, routes

app = st.App(
    str(Path(__file__).parent / "app.py"),
    routes=routes(str(config.get_option("server.baseUrlPath") or "")),
    middleware=[Middleware(Policy)],
)
