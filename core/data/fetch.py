"""Data that does not come with the package: fetched once, checked, and kept in the user's cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.confinement.kernel import calls_refused
from core.errors import BadInput
from core.paths import located
from core.progress import Meter

_SECONDS = 30.0  # without an answer
_BYTES = 2**16  # between two looks at the meter


def cache_folder() -> Path:
    """Where fetched data are kept; may be emptied at any time."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("fluoroscope", appauthor=False)) / "data"


def decoded_folder() -> Path:
    """Where decoded data are kept, those of a sealed process apart; may be emptied at any time."""
    return cache_folder().with_name("sealed") / "data" if calls_refused() else cache_folder()


def fetch(
    url: str,
    digest: str,
    *,
    path: str | Path | None = None,
    name: str = "",
    folder: Path | None = None,
    meter: Meter | None = None,
) -> Path:
    """A file on disk with the content of ``url``, whose SHA-256 is ``digest``.

    ``path``, where given, is taken as it is and nothing is fetched. Else the file is looked for in
    ``folder`` (by default the user's cache) under ``name`` (by default the last part of the
    address), fetched when it is missing or damaged, and only then in place when its digest is
    right. ``meter`` counts bytes.

    Raises ``BadInput`` when ``path`` does not exist, without a network, when the server refuses,
    and when the content is not the expected one.
    """
    if path is not None:
        place = located(path)
        if place.exists():
            return place
        raise BadInput(f"There is no file or folder '{place}'.", "Check the path.")
    import pooch
    import requests

    host = urlsplit(url).hostname or url
    kept = name or Path(urlsplit(url).path).name
    by_hand = f"Fetch {url} in another way and give its path with --data."
    bar: Any = _Bar(meter or Meter(), kept)
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        found = pooch.retrieve(
            url,
            known_hash=f"sha256:{digest}",
            fname=kept,
            path=folder or cache_folder(),
            downloader=pooch.HTTPDownloader(progressbar=bar, timeout=_SECONDS, chunk_size=_BYTES),
        )
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise BadInput(f"{host} does not give '{kept}': it answers {status}.", by_hand) from None
    except requests.exceptions.ChunkedEncodingError:
        raise BadInput(f"{host} broke off in the middle of '{kept}'.", "Try again.") from None
    except requests.RequestException:
        raise BadInput(
            f"'{kept}' is not on this machine, and {host} cannot be reached.",
            f"Connect to the network and try again, or: {by_hand}",
        ) from None
    except ValueError as error:  # pooch's word for a wrong digest
        raise BadInput(
            f"What {host} gives as '{kept}' is not the expected file: its SHA-256 is not {digest}.",
            f"Try again from another network, or: {by_hand}",
        ) from error
    except OSError as error:
        raise BadInput(
            f"'{kept}' cannot be kept in '{folder or cache_folder()}': {error.strerror or error}.",
            "Make room there, or fetch it in another way and give its path with --data.",
        ) from None
    return Path(found)


class _Bar:
    """A meter as the progress bar that pooch expects."""

    def __init__(self, meter: Meter, name: str) -> None:
        self._meter = meter
        self._name = name
        self._total = 0.0
        self._seen = 0.0

    @property
    def total(self) -> float:
        return self._total

    @total.setter
    def total(self, size: float) -> None:
        self._total = size
        self._meter.expect(size, f"fetching {self._name}")

    def update(self, size: float) -> None:
        new = min(size, max(0.0, self._total - self._seen)) if self._total else size
        self._seen += size
        self._meter.tick(new)

    def reset(self) -> None:
        """Pooch resets the bar to fill it at the end: nothing is counted twice here."""

    def close(self) -> None:
        """Nothing to close."""
