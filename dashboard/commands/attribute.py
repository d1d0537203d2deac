"""``fluoroscope attribute``: explain images from the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import BadInput, BadParameter, UnknownName
from dashboard.commands import options

if TYPE_CHECKING:
    from core.attribution.method import AttributionMethod
    from core.engine.call import Call
    from core.engine.inline import InlineExecutor
    from core.parameters import Value
    from core.results import Attribution
    from core.tasks import Example


def attribute(
    model: Annotated[str, typer.Argument(help="Name of a model, see `fluoroscope list models`.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    method: Annotated[list[str], typer.Option(help="Name of a method; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")],
    target: Annotated[
        str, typer.Option(help="A class name or index, top, top3, or 'cat vs dog'.")
    ] = "top",
    settings: options.Settings = None,
    formats: Annotated[
        str, typer.Option("--format", help="Any of png,svg,pdf,html,json,npz.")
    ] = "png,json",
    baseline_image: Annotated[
        Path | None, typer.Option(help="Image file for baseline=image.")
    ] = None,
    dark: Annotated[bool, typer.Option(help="Draw on a dark background.")] = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    workspace: options.Workspace = None,
) -> None:
    """Explain images: write ``<image>.<method>.<format>`` for each."""
    from core.attribution.registry import method as declared
    from core.engine.call import Call
    from core.models.catalogue import reference
    from dashboard.export import document, write
    from dashboard.figures.attribution import attribution_maps

    if workspace:
        model = _in_workspace(model, Path(workspace))
    wanted = _formats(formats)
    methods = [declared(name) for name in dict.fromkeys(method)]
    given = dict(options.setting(text) for text in settings or ())
    if baseline_image:
        given = _with_baseline_image(methods, given)
    per_method = _settings(methods, given)
    ref = reference(model)
    examples = [_read(path) for path in images]
    other = _read(baseline_image) if baseline_image else None
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
                units={each.name: each.unit},
            )
            for name in wanted:
                file = out_folder / f"{stem}.{each.name}.{name}"
                write(file, figure, results, name, document(results, prediction))
                print(file)


def _in_workspace(model: str, place: Path) -> str:
    """``run:<name>`` with the folder of a run that lies in this workspace in place of its name."""
    name = model.removeprefix("run:")
    folder = place.absolute() / "runs" / name.partition("@")[0]
    if model.startswith("run:") and (folder / "config.json").is_file():
        return f"run:{place.absolute() / 'runs' / name}"
    return model


def _formats(text: str) -> list[str]:
    from dashboard.export import FORMATS

    wanted = [name.strip() for name in text.split(",") if name.strip()]
    if not wanted:
        raise BadParameter("--format names no format.", f"Known: {', '.join(FORMATS)}.")
    for name in wanted:
        if name not in FORMATS:
            raise UnknownName.of("format", name, FORMATS)
    return list(dict.fromkeys(wanted))


def _settings(
    methods: Sequence[AttributionMethod], given: Mapping[str, str]
) -> dict[str, dict[str, Value]]:
    """The checked settings of each method; with several, each takes what it declares."""
    from core.parameters import checked

    every = dict.fromkeys(parameter.name for each in methods for parameter in each.parameters)
    if len(methods) > 1:
        for name in given:
            if name not in every:
                raise UnknownName.of("parameter of these methods", name, every)
    found = {}
    for each in methods:
        names = {parameter.name for parameter in each.parameters}
        mine = {k: v for k, v in given.items() if len(methods) == 1 or k in names}
        found[each.name] = checked(each.parameters, mine, each.name)
    return found


def _with_baseline_image(
    methods: Sequence[AttributionMethod], given: Mapping[str, str]
) -> dict[str, str]:
    """A baseline image is meant to be used: it stands for ``baseline=image``."""
    if not any(parameter.name == "baseline" for each in methods for parameter in each.parameters):
        raise BadParameter(
            "--baseline-image is given, but none of these methods has a baseline.",
            "Leave it out, or choose a method such as integrated_gradients.",
        )
    if given.get("baseline", "image") != "image":
        raise BadParameter(
            f"--baseline-image is given together with baseline={given['baseline']}.",
            "Leave one of the two out.",
        )
    return {**given, "baseline": "image"}


def _engine(device: str, folder: str | None) -> InlineExecutor:
    from core.engine.inline import InlineExecutor
    from core.workspace import workspace

    place = workspace(folder)
    _ = place.logs  # says so when it cannot be used
    return InlineExecutor(device=device, workspace=place)


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


def _read(path: Path) -> Example:
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
