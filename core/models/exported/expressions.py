"""Sizes that depend on the input, such as 2 × batch, in the one form that is let through.

torch hands these texts to an evaluator. So a text is parsed here first, by a grammar of whole
numbers, symbols and a fixed list of functions, and what is passed on is written anew from what was
parsed: not a character of the file's own text reaches the evaluator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\s*(-?\d+|[A-Za-z_]\w*|'[^']*'|[(),=])", re.ASCII)
_SYMBOL = re.compile(r"[su]\d{1,4}", re.ASCII)
_ASSUMPTIONS = ("positive", "nonnegative", "nonzero", "integer", "finite", "real")
_MANY = range(1, 65)
_FUNCTIONS = {
    "Add": _MANY, "Mul": _MANY, "Min": _MANY, "Max": _MANY, "And": _MANY, "Or": _MANY,
    "Not": (1,), "Mod": (2,), "PythonMod": (2,), "FloorDiv": (2,), "CeilDiv": (2,),
    "CleanDiv": (2,), "IntTrueDiv": (2,), "ToFloat": (1,), "FloorToInt": (1,), "CeilToInt": (1,),
    "TruncToInt": (1,), "Identity": (1,), "Equality": (2,), "Unequality": (2,), "LessThan": (2,),
    "StrictLessThan": (2,), "GreaterThan": (2,), "StrictGreaterThan": (2,),
}  # fmt: skip
_LONGEST = 10_000  # characters
_DEEPEST = 24
_LARGEST = 2**53
_STEEPEST = 6  # exponent: what is evaluated stays small


@dataclass
class _Reader:
    tokens: list[str]
    place: int = 0

    def take(self, expected: str = "") -> str:
        token = self.tokens[self.place] if self.place < len(self.tokens) else ""
        if not token or (expected and token != expected):
            raise ValueError(f"expected {expected or 'more'}")
        self.place += 1
        return token


def rewritten(text: str) -> str:
    """The same expression, written anew.

    Raises ``ValueError`` for anything outside the grammar.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError("it is too long")
    tokens, end = [], 0
    while end < len(text.rstrip()):
        found = _TOKEN.match(text, end)
        if found is None:
            raise ValueError(f"it holds {text[end : end + 20]!r}")
        tokens.append(found[1])
        end = found.end()
    reader = _Reader(tokens)
    written = _expression(reader, 0)
    if reader.place != len(tokens):
        raise ValueError("there is something behind its end")
    return written


def _expression(reader: _Reader, depth: int) -> str:
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    name = reader.take()
    if name in ("true", "false"):
        return name
    reader.take("(")
    if name == "Integer":
        return f"Integer({_whole(reader, ')')})"
    if name == "Rational":
        over, under = _whole(reader, ","), _whole(reader, ")")
        if not under:
            raise ValueError("it divides by zero")
        return f"Rational({over}, {under})"
    if name == "Symbol":
        return _symbol(reader)
    if name == "Pow":
        base = _expression(reader, depth + 1)
        reader.take(",")
        reader.take("Integer")
        reader.take("(")
        power = _whole(reader, ")")
        reader.take(")")
        if not -1 <= power <= _STEEPEST:
            raise ValueError(f"it has the power {power}")
        return f"Pow({base}, Integer({power}))"
    if name not in _FUNCTIONS:
        raise ValueError(f"it calls {name[:40]!r}")
    parts = [_expression(reader, depth + 1)]
    while (mark := reader.take()) == ",":
        parts.append(_expression(reader, depth + 1))
    if mark != ")" or len(parts) not in _FUNCTIONS[name]:
        raise ValueError(f"{name} has {len(parts)} parts")
    return f"{name}({', '.join(parts)})"


def _whole(reader: _Reader, closing: str) -> int:
    token = reader.take()
    if not re.fullmatch(r"-?\d{1,16}", token, re.ASCII) or abs(int(token)) > _LARGEST:
        raise ValueError(f"{token[:40]!r} is no whole number of a size")
    reader.take(closing)
    return int(token)


def _symbol(reader: _Reader) -> str:
    name = reader.take().strip("'")
    if not is_symbol(name):
        raise ValueError(f"{name[:40]!r} is no symbol")
    said = []
    while (mark := reader.take()) == ",":
        assumption = reader.take()
        reader.take("=")
        if assumption not in _ASSUMPTIONS or reader.take() != "True":
            raise ValueError(f"{assumption[:40]!r} is said of {name}")
        said.append(f", {assumption}=True")
    if mark != ")":
        raise ValueError(f"{name} is not closed")
    return f"Symbol('{name}'{''.join(said)})"


def is_symbol(name: str) -> bool:
    """Whether this is the name of a size."""
    return isinstance(name, str) and _SYMBOL.fullmatch(name) is not None
