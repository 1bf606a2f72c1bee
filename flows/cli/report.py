"""`nli report`: what the numbers of runs can be read against, as a page."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json
from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from tasks.settings import Settings


def report(
    runs: Annotated[
        list[str],
        typer.Argument(callback=filled, metavar="RUN...", help="MLflow run IDs or prefixes: of runs, or of groups."),
    ],
    output: Annotated[Path, typer.Option(help="The page to write, .html.")],
    json: JsonOption = False,
) -> None:
    """Write the trust report of runs: baselines, challenge sets, behaviour, calibration, data, cost and limits.

    Example: nli report 3f2a9c1e --output report.html
    """
    if output.suffix != ".html":
        raise UserError(f"--output {output}: name a file that ends in .html")
    set_library_defaults()
    from tasks.models.trust_report import report_of

    page = report_of(Settings.from_environment(), runs)
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written ({error.strerror}); name another file") from None
    if json:
        print_json({"runs": runs, "output": str(output)})
    else:
        echo(f"report: {output}")
