"""`nli store`: what the stage store holds, whether it is intact, and what may go."""

from typing import Annotated

import typer

from flows.cli.output import JsonOption, echo, print_json, print_rows
from nli_core.config import STAGES
from nli_core.errors import UserError
from nli_core.store.manifest import Output
from tasks.settings import Settings

store_app = typer.Typer(no_args_is_help=True, help="List, verify or prune the stage store.")

_MIB = 2**20


@store_app.command("ls")
def list_outputs(json: JsonOption = False) -> None:
    """List all finished outputs, oldest first.

    Example: nli store ls
    """
    store = Settings.from_environment().store
    outputs = [(stage, output) for stage in STAGES for output in store.outputs(stage)]
    leftovers = [str(folder) for folder in store.leftovers()]
    if json:
        listed = [
            {
                "stage": stage,
                "key": output.key,
                "created": output.manifest.created,
                "mebibytes": round(_mebibytes(output), 1),
                "seconds": output.manifest.seconds,
                "path": str(output.folder),
            }
            for stage, output in outputs
        ]
        print_json({"store": str(store.root), "outputs": listed, "unfinished": leftovers})
        return
    rows = [
        (stage, output.key[:12], output.manifest.created, f"{_mebibytes(output):.1f}", f"{output.manifest.seconds:.1f}")
        for stage, output in outputs
    ]
    print_rows(("stage", "key", "created", "MiB", "seconds"), rows)
    for leftover in leftovers:
        echo(f"unfinished: {leftover}")
    echo(f"store: {store.root}")


@store_app.command()
def verify(json: JsonOption = False) -> None:
    """Read every file of every output and compare it with its manifest; exit status 2 if any was altered.

    Example: nli store verify
    """
    store = Settings.from_environment().store
    damages, outputs = store.damages(), sum(len(store.outputs(stage)) for stage in STAGES)
    if json:
        print_json({"outputs": outputs, "damages": damages})
    else:
        for damage in damages:
            echo(damage)
    if damages:
        raise UserError(f"damaged outputs: {len(damages)}; rerun the recipe to make them again")
    if not json:
        echo(f"{outputs} outputs, all as their manifests say")


@store_app.command()
def prune(
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it, list what would be deleted.")] = False,
    unreferenced_only: Annotated[
        bool, typer.Option("--keep-referenced/--all", help="Keep the outputs that an MLflow run refers to.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Delete outputs that no MLflow run refers to, and what killed stages left behind. A dry run unless --delete.

    Example: nli store prune --delete
    """
    from tasks.operations.prune import delete_unused, prunable

    settings = Settings.from_environment()
    found = prunable(settings, keep_referenced=unreferenced_only)
    sizes = [sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / _MIB for folder in found]
    for folder, size in zip(found, sizes, strict=True):
        done = "would delete" if not delete else "deleted" if delete_unused(settings, folder) else "kept, now in use,"
        if not json:
            echo(f"{done} {folder} ({size:.1f} MiB)")
    if json:
        print_json({"deleted": delete, "folders": list(map(str, found)), "mebibytes": round(sum(sizes), 1)})
    elif not found:
        echo("nothing to prune")
    elif not delete:
        echo("This was a dry run: nothing was deleted. Add --delete to delete.")


def _mebibytes(output: Output) -> float:
    return sum(record.size for record in output.manifest.files.values()) / _MIB
