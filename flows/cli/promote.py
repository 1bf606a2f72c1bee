"""`nli promote` and `nli rollback`: which model is champion."""

from typing import Annotated

import typer

from flows.cli.output import JsonOption, echo, print_json
from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from tasks.settings import Settings


def promote(
    run: Annotated[str, typer.Argument(help="The id of an MLflow run, or how it begins.")],
    model: Annotated[
        str | None, typer.Option(help="Name in the registry; without it, that of the corpus: nli-snli.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Points by which a class or a slice may fall.")] = 1.0,
    calibration_margin: Annotated[float, typer.Option(help="By how much the calibration error may rise.")] = 0.01,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote whatever the rules say; the reason is recorded.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a run's model champion if it beats the current one on the same test examples.

    It must be better by McNemar's test, fall on no class and no slice by more than the margin, and be calibrated about
    as well. Exit status 2 if a rule stops it.

    Example: nli promote 3f2a9c1e
    """
    if force is not None and not force.strip():
        raise UserError("--force: give a reason; it is recorded with the model")
    if not (margin >= 0 and calibration_margin >= 0):
        raise UserError("--margin and --calibration-margin: give numbers that are not below 0")
    set_library_defaults()
    from nli_core.evaluation.promotion_rules import Margins
    from tasks.comparison import report as comparison_report
    from tasks.models import champion as promotion

    margins = Margins(part_points=margin, calibration=calibration_margin)
    done = promotion.promote(Settings.from_environment(), run, model=model, reason=force, margins=margins)
    if json:
        print_json({"model": done.model, "champion": done.champion, "promoted": done.promoted, "broken": done.broken})
    else:
        if done.compared:
            echo(f"{comparison_report.run_name(done.compared.run)} {comparison_report.verdict(done.compared)}")
        for rule in done.broken:
            echo(f"against it: {rule}")
    if not done.promoted:
        raise UserError(f"{done.model}: version {done.champion} stays champion; rules against it: {len(done.broken)}")
    if not json:
        echo(promotion.told(done))


def rollback(
    model: Annotated[str, typer.Argument(help="Name in the registry, such as nli-snli.")], json: JsonOption = False
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
        echo(f"{model}: version {now} is champion again, version {before} is not")
