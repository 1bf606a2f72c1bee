"""`nli store`: what the stage store holds, whether it is intact, and what may go."""

from typing import Annotated

import typer

from flows.cli.output import JsonOption, echo, print_json, print_rows
from nli_core.errors import UserError
from nli_core.store.manifest import Manifest
from tasks.settings import Settings

RemoteOption = Annotated[bool, typer.Option("--remote", help="Of the bucket behind the store (NLI_REMOTE).")]
store_app = typer.Typer(no_args_is_help=True, help="List, verify, prune or push the stage store.")

_MIB = 2**20


@store_app.command("ls")
def list_outputs(remote: RemoteOption = False, json: JsonOption = False) -> None:
    """List all finished outputs, oldest first.

    Example: nli store ls
    """
    settings = Settings.from_environment()
    leftovers: list[str] = []
    if remote:
        from tasks.runtime.sharing import needed_outputs

        bucket = needed_outputs(settings)
        place = bucket.bucket.address
        outputs = [(manifest, f"{place}/{entry.name}") for manifest, entry in bucket.manifests()]
        outputs.sort(key=lambda each: each[0].age)
    else:
        place, store = str(settings.store.root), settings.store
        outputs = [(each.manifest, str(each.folder)) for each in store.outputs()]
        leftovers = [str(folder) for folder in store.leftovers()]
    if json:
        listed = [
            {
                "kind": manifest.kind,
                "key": manifest.key,
                "created": manifest.created,
                "mebibytes": round(_mebibytes(manifest), 1),
                "seconds": manifest.seconds,
                "path": path,
            }
            for manifest, path in outputs
        ]
        print_json({"store": place, "outputs": listed, "unfinished": leftovers})
        return
    rows = [
        (each.kind, each.key[:12], each.created, f"{_mebibytes(each):.1f}", f"{each.seconds:.1f}")
        for each, _ in outputs
    ]
    print_rows(("output", "key", "created", "MiB", "seconds"), rows)
    for leftover in leftovers:
        echo(f"unfinished: {leftover}")
    echo(f"store: {place}")


@store_app.command()
def verify(remote: RemoteOption = False, json: JsonOption = False) -> None:
    """Read every file of every output and compare it with its manifest; exit status 2 if any was altered.

    Example: nli store verify
    """
    settings = Settings.from_environment()
    if remote:
        from nli_core.remote.sweep import damages_of
        from tasks.runtime.sharing import needed_outputs

        bucket = needed_outputs(settings)
        damages, outputs = damages_of(bucket.bucket), sum(1 for _ in bucket.manifests())
    else:
        damages = settings.store.damages()
        outputs = len(settings.store.outputs())
    if json:
        print_json({"outputs": outputs, "damages": damages})
    else:
        for damage in damages:
            echo(damage)
    if damages and remote:
        remedy = "delete what was altered, then `nli store push` on a machine that has the outputs brings it again"
        raise UserError(f"damaged objects: {len(damages)}; {remedy}")
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
    remote: RemoteOption = False,
    json: JsonOption = False,
) -> None:
    """Delete outputs that no MLflow run refers to, and what killed stages left behind. A dry run unless --delete.

    In a bucket, where other machines may have pushed: only what no output needs, and with --all the outputs too; and
    nothing that is younger than seven days. Files of outputs go with the next prune after them.

    Example: nli store prune --delete
    """
    from tasks.operations.prune import delete_unused, prunable

    settings = Settings.from_environment()
    if remote:
        _prune_bucket(settings, delete=delete, outputs_too=not unreferenced_only, json=json)
        return
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


@store_app.command()
def push(json: JsonOption = False) -> None:
    """Bring all finished outputs to the bucket behind the store, except those that it has.

    Example: nli store push
    """
    from tasks.runtime.sharing import needed_outputs, push_missing

    settings = Settings.from_environment()
    bucket = needed_outputs(settings)
    pushed = []
    for output in settings.store.outputs():
        if damage := output.damage():
            raise UserError(f"{damage}; rerun the recipe to make it again")
        if push_missing(settings, bucket, output):
            pushed.append(f"{output.manifest.kind}/{output.key}")
            if not json:
                echo(f"pushed {pushed[-1]} ({_mebibytes(output.manifest):.1f} MiB)")
    if json:
        print_json({"pushed": pushed})
    elif not pushed:
        echo(f"nothing to push: {bucket.bucket.address} has every output of {settings.store.root}")


def _prune_bucket(settings: Settings, *, delete: bool, outputs_too: bool, json: bool) -> None:
    from nli_core.remote.sweep import unneeded
    from tasks.runtime.sharing import needed_outputs

    found = unneeded(needed_outputs(settings).bucket, outputs_too=outputs_too)
    size = sum(entry.size for entry in found.entries) / _MIB
    deleted = found.delete() if delete else 0
    if json:
        names = [f"{found.bucket.address}/{entry.name}" for entry in found.entries]
        print_json({"deleted": delete, "folders": names, "mebibytes": round(size, 1)})
        return
    if not delete:
        for entry in found.entries:
            echo(f"would delete {found.bucket.address}/{entry.name} ({entry.size / _MIB:.1f} MiB)")
    if not found.entries:
        echo("nothing to prune")
    elif delete:
        echo(f"deleted {deleted} objects ({size:.1f} MiB)")
    else:
        echo("This was a dry run: nothing was deleted. Add --delete to delete.")


def _mebibytes(manifest: Manifest) -> float:
    return sum(record.size for record in manifest.files.values()) / _MIB
