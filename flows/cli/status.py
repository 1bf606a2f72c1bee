"""`nli status`: what is running, what is stored, the last runs and the champions."""

from dataclasses import asdict

from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.environment import set_library_defaults
from tasks.settings import Settings


def status(json: JsonOption = False) -> None:
    """Show what is running, what is stored, the last runs and the champions.

    Example: nli status
    """
    set_library_defaults()
    from tasks.operations.status import overview

    settings = Settings.from_environment()
    now = overview(settings)
    if json:
        print_json(asdict(now))
        return
    print_rows(("running", "working on"), [(", ".join(now.flow_runs) or "nothing", ", ".join(now.working))])
    echo()
    rows = [(kind, str(kept.outputs), f"{kept.mebibytes:,.1f}") for kind, kept in now.stored.items()]
    print_rows(("stored", "outputs", "MiB"), rows)
    echo(f"in {settings.store.root}\n")
    last = [(run.run_id[:12], run.name, run.status, run.started, _accuracy(run.test_accuracy)) for run in now.runs]
    print_rows(("last runs", "name", "status", "started (UTC)", "test accuracy"), last)
    echo(f"in MLflow at {settings.shown_tracking_uri}\n")
    best = [(one.model, one.version, one.run_id[:12], _accuracy(one.test_accuracy)) for one in now.champions]
    print_rows(("champion", "version", "run", "test accuracy"), best or [("none yet", "", "", "")])


def _accuracy(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
