"""`nli compare`: MLflow runs on the same test examples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from tasks.settings import Settings

_SHOWN_CHANGES = 5


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            callback=filled,
            metavar="RUN RUN...",
            help="MLflow run IDs or unique prefixes; the first is the baseline.",
        ),
    ],
    report: Annotated[
        Path | None, typer.Option(help="Write the whole report to this file, .html (with figures) or .md.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare runs on the same test examples: what differs, and whether a difference in accuracy could be chance.

    Example: nli compare 3f2a9c1e 77b0d5aa --report comparison.html
    """
    if report and report.suffix not in (".html", ".md"):
        raise UserError(f"--report {report}: name a file that ends in .html or .md")
    set_library_defaults()
    from tasks.comparison import compare as comparing
    from tasks.comparison import report as comparison_report

    settings = Settings.from_environment()
    first, compared = comparing.compare_runs(settings, runs)
    spelled = comparing.changed_texts(settings, first, compared)
    if report:
        write = comparison_report.as_html if report.suffix == ".html" else comparison_report.as_markdown
        try:
            report.write_text(write(first, compared, spelled), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--report {report}: cannot be written ({error.strerror}); name another file") from None
    if json:
        print_json(comparison_report.as_json(first, compared))
        return
    for other in compared:
        echo(f"{comparison_report.run_name(other.run)} against {comparison_report.run_name(first)}")
        everything = other.comparison.parts[0]
        for which, accuracy in (("first", everything.first), ("second", everything.second)):
            echo(f"{which}: test accuracy {comparison_report.accuracy_text(accuracy)}")
        echo(f"{comparison_report.verdict(other)}\n")
        _print(comparison_report.DIFFERENCES, comparison_report.differing_rows(other))
        header = ("part", "examples", "first", "second", "difference, points", "p")
        _print(header, comparison_report.short_part_rows(other))
        _print(comparison_report.CHANGES, comparison_report.changed_rows(other, spelled, _SHOWN_CHANGES))
    echo(f"report: {report}" if report else "For the whole report with figures, add --report FILE.html.")


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        print_rows(header, rows)
        echo()
