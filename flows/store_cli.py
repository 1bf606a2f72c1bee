"""`nli store`: what the stage store holds, whether it is intact, and what may go."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nli_core.config import STAGES
from nli_core.errors import UserError
from nli_core.store import Output
from tasks.settings import Settings

store_app = typer.Typer(no_args_is_help=True, help="List, verify or prune the stage store.")

_MIB = 2**20


@store_app.command("ls")
def list_outputs() -> None:
    """List all finished outputs, oldest first.

    Example: nli store ls
    """
    store = Settings.from_environment().store
    table = Table("stage", "key", "created", "MiB", "seconds", box=None, pad_edge=False)
    for stage in STAGES:
        for output in store.outputs(stage):
            manifest = output.manifest
            table.add_row(
                stage, output.key[:12], manifest.created, f"{_mebibytes(output):.1f}", f"{manifest.seconds:.1f}"
            )
    Console().print(table)
    for leftover in store.leftovers():
        Console(soft_wrap=True).print(f"unfinished: {leftover}")
    Console(soft_wrap=True).print(f"store: {store.root}")


@store_app.command()
def verify() -> None:
    """Read every file of every output and compare it with its manifest; exit status 2 if any was altered.

    Example: nli store verify
    """
    store = Settings.from_environment().store
    damages = store.damages()
    for damage in damages:
        Console(soft_wrap=True, highlight=False).print(damage)
    if damages:
        raise UserError(f"damaged outputs: {len(damages)}; the next run makes them again")
    Console().print(f"{sum(len(store.outputs(stage)) for stage in STAGES)} outputs, all as their manifests say")


@store_app.command()
def prune(
    delete: Annotated[
        bool, typer.Option("--delete", help="Really delete; without it, only say what would go.")
    ] = False,
    unreferenced_only: Annotated[
        bool, typer.Option("--keep-referenced/--all", help="Keep what an existing MLflow run refers to.")
    ] = True,
) -> None:
    """Delete outputs that no MLflow run refers to, and what killed stages left behind. A dry run unless --delete.

    Example: nli store prune --delete
    """
    from tasks.pruning import prunable

    console = Console(soft_wrap=True)
    settings = Settings.from_environment()
    found = prunable(settings, keep_referenced=unreferenced_only)
    for folder in found:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        console.print(f"{'deleted' if delete else 'would delete'} {folder} ({size / _MIB:.1f} MiB)")
        if delete:
            settings.store.remove(folder)
    if not found:
        console.print("nothing to prune")
    elif not delete:
        console.print("This was a dry run: nothing was deleted. Add --delete to delete.")


def _mebibytes(output: Output) -> float:
    return sum(record.size for record in output.manifest.files.values()) / _MIB
