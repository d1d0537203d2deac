"""Widgets generated from declared parameters, so that pages never spell out a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import streamlit as st

from core.errors import UserError
from core.parameters import Parameter, Value, checked
from dashboard import state


class Declared(Protocol):
    """What declares parameters: a method, a reducer, a way to compress, a surrogate tree."""

    @property
    def name(self) -> str:
        """What its settings are kept under."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What can be set."""


def settings_of(method: Declared, chosen: state.Selection) -> dict[str, Value]:
    """The settings of a method in this selection, checked; a senseless one becomes its default,
    with a notice.
    """
    prefix = f"{method.name}."
    given: dict[str, object] = {}
    for name, text in chosen.settings.items():
        if not name.startswith(prefix):
            continue
        try:
            checked(method.parameters, {name.removeprefix(prefix): text}, method.title)
        except UserError as error:
            st.warning(f"{method.title}: {state.plain(str(error))} The default is used.")
        else:
            given[name.removeprefix(prefix)] = text
    return checked(method.parameters, given, method.title)


def draw_settings(
    method: Declared,
    settings: dict[str, Value],
    layers: Sequence[str],
) -> None:
    """One widget per parameter, the advanced ones last under a rule; ``layers`` are the choices
    of a ``layer`` parameter.
    """
    plain = [parameter for parameter in method.parameters if not parameter.advanced]
    more = [parameter for parameter in method.parameters if parameter.advanced]
    for parameter in plain:
        _widget(method, parameter, settings[parameter.name], layers)
    if more:
        st.caption("More")
    for parameter in more:
        _widget(method, parameter, settings[parameter.name], layers)
    if not method.parameters:
        st.caption("This method has no settings.")


def _widget(
    method: Declared,
    parameter: Parameter,
    value: Value,
    layers: Sequence[str],
) -> None:
    bound = state.bind_setting(method.name, parameter.name, value, parameter.default)
    label = f"{parameter.title} ({parameter.unit})" if parameter.unit else parameter.title
    if parameter.kind == "bool":
        st.toggle(label, help=parameter.help, **bound)
    elif parameter.kind == "choice":
        st.selectbox(label, parameter.choices, help=parameter.help, **bound)
    elif parameter.kind == "layer":
        options = list(dict.fromkeys(["auto", *reversed(layers), str(value)]))
        st.selectbox(label, options, help=parameter.help, **bound)
    elif parameter.kind == "int":
        st.number_input(
            label,
            min_value=None if parameter.minimum is None else int(parameter.minimum),
            max_value=None if parameter.maximum is None else int(parameter.maximum),
            step=1,
            help=parameter.help,
            **bound,
        )
    else:
        st.number_input(
            label,
            min_value=None if parameter.minimum is None else float(parameter.minimum),
            max_value=None if parameter.maximum is None else float(parameter.maximum),
            step=0.05,
            format="%g",
            help=parameter.help,
            **bound,
        )
