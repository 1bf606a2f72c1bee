"""`nli promote` and `nli rollback`: change which model is champion."""

from typing import Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json
from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from tasks.settings import Settings


def promote(
    run: Annotated[str, typer.Argument(callback=filled, help="An MLflow run ID or a unique prefix.")],
    model: Annotated[
        str | None, typer.Option(callback=filled, help="Name in the registry; by default nli-CORPUS.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Points by which a class or a slice may drop.")] = 1.0,
    calibration_margin: Annotated[float, typer.Option(help="By how much the calibration error may rise.")] = 0.01,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote even if a check fails; the reason is recorded.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a run's model champion if it beats the current one on the same test examples.

    The run must be better by McNemar's test. No class or slice may drop significantly by more than the margin, and
    the calibration error may not rise by more than its margin. Exit status 2 if a check fails.

    Example: nli promote 3f2a9c1e
    """
    if force is not None and not force.strip():
        raise UserError("--force: give a reason, which is recorded with the model")
    if not (margin >= 0 and calibration_margin >= 0):
        raise UserError("--margin and --calibration-margin: give numbers that are not below 0")
    set_library_defaults()
    from nli_core.evaluation.promotion_rules import Margins
    from tasks.comparison import report as comparison_report
    from tasks.models import champion as promotion

    margins = Margins(part_points=margin, calibration=calibration_margin)
    done = promotion.promote(Settings.from_environment(), run, model=model, reason=force, margins=margins)
    if json:
        found = {"model": done.model, "champion": done.champion, "promoted": done.promoted, "failed": done.failed}
        print_json({**found, "decision": done.decision})
    else:
        if done.compared:
            echo(f"{comparison_report.run_name(done.compared.run)} {comparison_report.verdict(done.compared)}")
        for check in done.failed:
            echo(f"failed check: {check}")
    if not done.promoted:
        counted = f"; this was the {done.counted}" if done.decision else ""
        raise UserError(f"{done.stays}; failed checks: {len(done.failed)}{counted}")
    if not json:
        echo(done.sentence)


def rollback(
    model: Annotated[str, typer.Argument(callback=filled, help="Name in the registry, such as nli-snli.")],
    json: JsonOption = False,
) -> None:
    """Make the champion's predecessor champion again.

    Example: nli rollback nli-snli
    """
    set_library_defaults()
    from tasks.models.champion import roll_back

    before, now = roll_back(Settings.from_environment(), model)
    if json:
        print_json({"model": model, "champion": now, "before": before})
    else:
        echo(f"{model}: version {now} is champion again, in place of version {before}")
