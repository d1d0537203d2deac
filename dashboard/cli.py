"""The command line: ``fluoroscope serve | list | attribute``.

A user's error is one clear line on standard error and exit status 2.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from core.errors import BadInput, BadParameter, Cancelled, FluoroscopeError, UnknownName

if TYPE_CHECKING:
    from core.engine.call import Call
    from core.engine.inline import InlineExecutor
    from core.results import Attribution

app = typer.Typer(
    name="fluoroscope",
    help="The X-ray room for neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
listing = typer.Typer(help="List what there is, as a table or as JSON.", no_args_is_help=True)
app.add_typer(listing, name="list")

WorkspaceOption = Annotated[
    str | None,
    typer.Option(help="Folder for results and uploads.", envvar="FLUOROSCOPE_WORKSPACE"),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line; the only place where errors become exit statuses."""
    try:
        app()
    except Cancelled:
        _fail("Cancelled.", 130)
    except FluoroscopeError as error:
        _fail(str(error), 2)


def _fail(message: str, status: int) -> NoReturn:
    print(f"fluoroscope: {message}", file=sys.stderr)
    sys.exit(status)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to bind.", envvar="HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", envvar="PORT", min=1, max=65535)] = 8501,
    workspace: WorkspaceOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Open the dashboard in a browser on this machine."""
    _check_free(host, port)
    script = Path(__file__).parent / "app.py"
    environment = dict(os.environ, FLUOROSCOPE_DEVICE=device)
    if workspace:
        environment["FLUOROSCOPE_WORKSPACE"] = str(Path(workspace).absolute())
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += ["--server.address", host, "--server.port", str(port)]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    print(f"Fluoroscope is at http://{host}:{port}  (Ctrl+C ends it)", flush=True)
    # The look and the limits are in the configuration beside the package.
    os.chdir(Path(__file__).parent)
    # In place of this process, so that whoever ends it ends the server.
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own command


def _check_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadParameter(
                f"Cannot listen on {host}:{port}: {error.strerror or error}.",
                f"Choose another port, for example --port {port + 1 if port < 65535 else 8501}.",
            ) from None


@listing.command("models")
def list_models(as_json: JsonOption = False) -> None:
    """Models by name, with task and measured quality."""
    from core.models.catalogue import catalogue, missing

    rows = [
        {
            "name": model.name,
            "title": model.title,
            "task": str(model.task),
            "accuracy": model.raw.get("metrics", {}).get("accuracy"),
            "parameters": model.raw.get("parameters"),
            "installed": not missing(model),
        }
        for model in catalogue().values()
    ]
    _print(rows, as_json)


@listing.command("methods")
def list_methods(as_json: JsonOption = False) -> None:
    """Attribution methods with their parameters."""
    from core.attribution.registry import METHODS

    rows = [
        {
            "name": method.name,
            "family": method.family,
            "title": method.title,
            "parameters": ", ".join(f"{p.name}={p.default}" for p in method.parameters),
            "reference": method.reference,
        }
        for method in METHODS
    ]
    _print(rows, as_json, hidden=("reference",))


@listing.command("examples")
def list_examples(as_json: JsonOption = False) -> None:
    """Bundled example inputs and the models they suit."""
    from core.data.gallery import gallery

    rows = [
        {
            "name": item.name,
            "title": item.title,
            "models": ", ".join(item.models),
            "path": str(item.path),
        }
        for item in gallery()
    ]
    _print(rows, as_json, hidden=("path",))


def _print(rows: Sequence[Mapping[str, Any]], as_json: bool, hidden: tuple[str, ...] = ()) -> None:
    if as_json:
        print(json.dumps(list(rows), indent=2))
        return
    columns = [name for name in rows[0] if name not in hidden] if rows else []
    cells = [columns] + [[_cell(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


@app.command()
def attribute(
    model: Annotated[str, typer.Argument(help="Name of a model, see `fluoroscope list models`.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    method: Annotated[list[str], typer.Option(help="Name of a method; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")],
    target: Annotated[
        str, typer.Option(help="A class name or index, top, top3, or 'cat vs dog'.")
    ] = "top",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Parameter of a method: n_steps=50.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Any of png,svg,pdf,html,json,npz.")
    ] = "png,json",
    baseline_image: Annotated[
        Path | None, typer.Option(help="Image file for baseline=image.")
    ] = None,
    dark: Annotated[bool, typer.Option(help="Draw on a dark background.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of random methods.", min=0)] = 0,
    device: DeviceOption = "auto",
    workspace: WorkspaceOption = None,
) -> None:
    """Explain images: write ``<image>.<method>.<format>`` for each."""
    from core.attribution.registry import method as declared
    from core.engine.call import Call
    from core.models.catalogue import reference
    from core.parameters import checked
    from core.tasks import Example
    from dashboard.export import FORMATS, document, write
    from dashboard.figures.attribution import attribution_maps

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    for name in wanted:
        if name not in FORMATS:
            raise UnknownName.of("format", name, FORMATS)
    given = dict(_setting(text) for text in settings or ())
    methods = [declared(name) for name in dict.fromkeys(method)]
    per_method = {}
    for each in methods:
        names = {parameter.name for parameter in each.parameters}
        mine = given if len(methods) == 1 else {k: v for k, v in given.items() if k in names}
        per_method[each.name] = checked(each.parameters, mine, each.name)
    if len(methods) > 1:
        every = [parameter.name for each in methods for parameter in each.parameters]
        for name in given:
            if name not in every:
                raise UnknownName.of("parameter of these methods", name, dict.fromkeys(every))
    ref = reference(model)
    examples = [_read(path) for path in images]
    other = Example(baseline_image.name, _read(baseline_image).data) if baseline_image else None
    out_folder = _folder(out)

    engine = _engine(device, workspace)
    names = _output_names(images)
    for path, example, stem in zip(images, examples, names, strict=True):
        prediction = engine.submit(Call("predict", ref, (example,), {}, seed, device)).result()[0]
        for each in methods:
            call = Call(
                "attribute",
                ref,
                (example,) if other is None else (example, other),
                {
                    "method": each.name,
                    "target": target,
                    "settings": per_method[each.name],
                    **({"baseline_example": 1} if other is not None else {}),
                },
                seed,
                device,
            )
            results = _with_bar(engine, call, f"{path.name}  {each.title}")
            figure = attribution_maps(
                results,
                dark=dark,
                titles={each.name: each.title},
                unsigned=() if each.signed else (each.name,),
            )
            for name in wanted:
                file = out_folder / f"{stem}.{each.name}.{name}"
                write(file, figure, results, name, document(results, prediction))
                print(file)


def _engine(device: str, folder: str | None) -> InlineExecutor:
    from core.engine.inline import InlineExecutor
    from core.workspace import workspace

    return InlineExecutor(device=device, workspace=workspace(folder))


def _with_bar(engine: InlineExecutor, call: Call, title: str) -> tuple[Attribution, ...]:
    """The result of a call, with a progress bar on standard error while a person is watching."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        line = bar.add_task(title, total=None)
        handle = engine.submit(
            call, notify=lambda p: bar.update(line, completed=p.done, total=p.total)
        )
        results: tuple[Attribution, ...] = handle.result()
    return results


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not re.fullmatch(r"\w+", name):
        raise BadParameter(f"'--set {text}' is not a setting.", "Write it as --set n_steps=50.")
    return name, value


def _read(path: Path) -> Any:
    from core.tasks import Example

    try:
        return Example(path.name, path.read_bytes())
    except OSError as error:
        raise BadInput(
            f"'{path}' cannot be read: {error.strerror or error}.", "Check the path."
        ) from None


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(
            f"Cannot write to '{path}': {error.strerror or error}.", "Choose another --out folder."
        ) from None
    return path


def _output_names(images: Sequence[Path]) -> list[str]:
    """File stems; two images of the same stem keep their suffix, or get a number."""
    taken: set[str] = set()
    names = []
    for path in images:
        candidates = [path.stem, path.name.replace(".", "-")]
        candidates += [f"{path.stem}-{number}" for number in range(2, len(images) + 2)]
        name = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(name)
        names.append(name)
    return names


if __name__ == "__main__":
    main()
