"""``fluoroscope serve``: the dashboard in a browser on this machine."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import BadParameter
from core.models.formats import factory
from core.settings import setting
from core.workspace import workspace as workspace_at
from dashboard.commands import options

_DASHBOARD = Path(__file__).parents[1]


def serve(
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 8501,
    workspace: options.Workspace = None,
    device: options.Device = "auto",
) -> None:
    """Open the dashboard in a browser on this machine."""
    device = options.known_device(device)
    _check_free(host, port)
    place = workspace_at(workspace)
    _ = place.logs  # says so when it cannot be used
    environment = dict(os.environ, FLUOROSCOPE_DEVICE=device)
    environment.setdefault(factory.FOLDER, str(Path.cwd()))
    command = [sys.executable, "-m", "streamlit", "run", str(_DASHBOARD / "served.py")]
    command += ["--server.address", host, "--server.port", str(port)]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    command += ["--server.maxUploadSize", f"{setting('upload_mb', place.root).value:.0f}"]
    shown = f"[{host}]" if ":" in host else host
    print(f"Fluoroscope is at http://{shown}:{port}  (Ctrl+C ends it)", flush=True)
    if not _local(host):
        print(
            "fluoroscope: it has no password, and everyone who reaches this machine can use it. "
            "Leave --host out to keep it to this machine.",
            file=sys.stderr,
            flush=True,
        )
    # The look and the limits are in the configuration beside the package.
    os.chdir(_DASHBOARD)
    # In place of this process, so that whoever ends it ends the server.
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own command


def _local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:
            number = error.errno if isinstance(error, OSError) else None
            advice = "Use --host 127.0.0.1, or an address of this machine."
            if number in (errno.EADDRINUSE, errno.EACCES):
                other = port + 1 if 1024 <= port < 65535 else 8501
                advice = f"Choose another port, for example --port {other}."
            reason = getattr(error, "strerror", None) or "it is not an address"
            raise BadParameter(f"Cannot listen on {host}:{port}: {reason}.", advice) from None
