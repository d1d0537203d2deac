"""Sentences by class that stand in for data which may not be shipped, written for this purpose.

They are plain on purpose: every opinion is said about every thing, so they show how a model sorts
clear cases and nothing about how good it is.
"""

from __future__ import annotations

from itertools import product

_THINGS = (
    "The film", "The book", "This battery", "The hotel", "Their new album", "The service",
    "This phone", "The soup", "The lecture", "The journey", "The game", "The camera",
)  # fmt: skip
_OPINIONS = {
    "negative": (
        "is a terrible waste of time.",
        "was awful, and I want my money back.",
        "is the worst that I have had in years.",
        "disappointed all of us.",
        "was so bad that we left early.",
    ),
    "neutral": (
        "is described on the second page.",
        "was made in 2004.",
        "is the same as last year.",
        "will be shown again on Monday.",
        "has three parts.",
    ),
    "positive": (
        "is wonderful, and I would take it again.",
        "was a great joy from beginning to end.",
        "is the best that I have had in years.",
        "made all of us happy.",
        "was so good that we stayed longer.",
    ),
}
RATED = {
    name: tuple(f"{thing} {opinion}" for thing, opinion in product(_THINGS, opinions))
    for name, opinions in _OPINIONS.items()
}

_KINDS = ("simple", "fast", "graphical", "command line", "cross-platform", "small")
_SOFTWARE = {
    "games": (
        "puzzle game with falling blocks",
        "platform game with forty levels",
        "chess program for two players",
        "strategy game about an island",
        "space shooter in the old style",
        "card game against the computer",
    ),
    "science": (
        "program for the analysis of protein sequences",
        "solver for partial differential equations",
        "viewer of molecular structures",
        "statistics program for clinical trials",
        "simulator of chemical reactions",
        "tool for the alignment of genomes",
    ),
    "sound": (
        "music player with playlists",
        "editor of audio files",
        "software synthesizer with effects",
        "audio mixer for the sound card",
        "converter between audio formats",
        "drum machine for musicians",
    ),
    "graphics": (
        "viewer of images in many formats",
        "editor of vector drawings",
        "renderer of three-dimensional scenes",
        "program that turns photos into panoramas",
        "converter between image formats",
        "painting program with layers",
    ),
    "network": (
        "client for the file transfer protocol",
        "monitor of network traffic",
        "web server with little need of memory",
        "firewall for the local network",
        "proxy for encrypted connections",
        "scanner of open ports",
    ),
}
SOFTWARE = {
    name: tuple(f"{kind} {what}" for kind, what in product(_KINDS, each))
    for name, each in _SOFTWARE.items()
}
