"""``fluoroscope workspace``: what is kept on this machine, how large it is, and how it goes."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.commands import options
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.inventory import Kept

keeping = typer.Typer(help="Models, data, runs and results: list, rename, delete, name data.")
Name = Annotated[str, typer.Argument(help="As `fluoroscope workspace` says it: kind/name.")]


@keeping.callback(invoke_without_command=True)
def workspace_or_one(
    context: typer.Context, as_json: options.Json = False, workspace: options.Workspace = None
) -> None:
    """What is kept on this machine, and the limits in force."""
    if context.invoked_subcommand is None:
        list_things(as_json, workspace)


@keeping.command("list")
def list_things(as_json: options.Json = False, workspace: options.Workspace = None) -> None:
    """Everything by kind with size and date, then the limits and where they come from."""
    from core.inventory import inventory
    from core.settings import settings
    from core.workspace import workspace as at

    where = at(workspace)
    things = inventory(where)
    limits = [
        {
            "setting": each.limit.name,
            "value": each.value,
            "unit": each.limit.unit,
            "from": each.source,
            "about": each.limit.about,
        }
        for each in settings(where.root)
    ]
    if as_json:
        facts = {
            "root": str(where.root),
            "bytes": sum(each.size for each in things),
            "things": [_facts(each) for each in things],
            "settings": limits,
        }
        print(json.dumps(facts, indent=2))
        return
    total = sum(each.size for each in things)
    print(f"{where.root}: {sized(total)}. Nothing of it leaves this machine.\n")
    if things:
        show([_row(each) for each in things], False)
        print()
    show(limits, False)


@keeping.command("delete")
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: options.Json = False,
    workspace: options.Workspace = None,
) -> None:
    """Remove one thing; asks first."""
    from core.inventory import delete as removed
    from core.inventory import find, inventory
    from core.workspace import workspace as at

    thing = find(inventory(at(workspace)), name)
    if not yes and not thing.busy:
        typer.confirm(f"Delete '{thing.title}' ({sized(thing.size)})?", abort=True, err=True)
    freed = removed(thing)
    if as_json:
        print(json.dumps({"deleted": thing.id, "bytes": freed}))
    else:
        print(f"{thing.id} is deleted, {sized(freed)} are free.")


@keeping.command("rename")
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(help="The new name.")],
    as_json: options.Json = False,
    workspace: options.Workspace = None,
) -> None:
    """Give data, a model, a run, an upload or a selection another name."""
    from core.inventory import find, inventory
    from core.inventory import rename as renamed
    from core.workspace import workspace as at

    where = at(workspace)
    thing = find(inventory(where), name)
    renamed(where, thing, new)
    if as_json:
        print(json.dumps({"renamed": thing.id, "name": new}))
    else:
        print(f"{thing.id} is called '{new}'.")


@keeping.command("add")
def add(
    path: Annotated[Path, typer.Argument(help="A file or folder with data; it stays there.")],
    name: Annotated[str, typer.Option(help="What it is called.")] = "",
    as_json: options.Json = False,
    workspace: options.Workspace = None,
) -> None:
    """Name data on this machine, so that the pages offer them without a copy."""
    from core.data.kept import link_data
    from core.workspace import workspace as at

    found = link_data(at(workspace), path, name)
    if as_json:
        print(json.dumps({"added": f"data/{found.key}", "name": found.name, "path": found.path}))
    else:
        print(f"data/{found.key}")
        print(f"'{found.name}' is offered under Data in the sidebar.", file=sys.stderr)


def sized(count: int) -> str:
    """Bytes as people say them."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _facts(thing: Kept) -> dict[str, Any]:
    return {
        "id": thing.id,
        "kind": thing.kind,
        "title": thing.title,
        "bytes": thing.size,
        "changed": datetime.fromtimestamp(thing.used).astimezone().isoformat(timespec="seconds"),
        "busy": thing.busy,
    }


def _row(thing: Kept) -> dict[str, Any]:
    changed = datetime.fromtimestamp(thing.used).astimezone()
    return {
        "name": thing.id,
        "title": thing.title[:48],
        "size": sized(thing.size),
        "changed": changed.strftime("%Y-%m-%d %H:%M"),
        "in use": thing.busy or None,
    }
