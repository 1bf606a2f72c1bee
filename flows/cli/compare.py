"""`nli compare`: MLflow runs on the same test examples."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from tasks.settings import Settings

_SHOWN_CHANGES = 3
_SHOWN_CHARACTERS = 100


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            callback=filled,
            metavar="RUN RUN...",
            help="MLflow run IDs or unique prefixes, of runs or of groups of seeds; the first is the baseline.",
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
    from tasks.comparison import report as text
    from tasks.comparison.groups import is_group
    from tasks.comparison.page import write_report

    settings = Settings.from_environment()
    if any(is_group(settings, name) for name in runs):
        if report:
            raise UserError(f"--report {report}: is for single runs; leave it out to compare groups of seeds")
        _compare_groups(settings, runs, json)
        return
    first, compared = comparing.compare_runs(settings, runs)
    if report:
        write_report(settings, first, compared, report)
    if json:
        print_json(text.as_json(first, compared))
        return
    _print(text.RUNS, text.run_rows(first, compared))
    for place, other in enumerate(compared, start=1):
        name = text.letter(place)
        scores = text.scores_text(other)
        echo(f"{name} against A: {text.verdict(other)}{f'; {scores}' if scores else ''}\n")
        _print(text.header(text.DIFFERENCES, name), text.differing_rows(other))
        _print(("part", "examples", "A", name, "difference, points", "p"), text.short_part_rows(other))
        for which, rows in zip(("wrong", "right"), text.lost_and_gained(other, _SHOWN_CHANGES), strict=True):
            if rows:
                echo(f"{name} alone gets {which}, for example:")
            shortened = [(row[0], _shortened(row[1]), *row[2:]) for row in rows]
            _print(text.header(text.CHANGES, name), shortened)
    echo(f"report: {report}" if report else "For the whole report with figures, add --report FILE.html.")


def _compare_groups(settings: Settings, names: Sequence[str], json: bool) -> None:
    from tasks.comparison.groups import GROUPS_HEADER, compare_run_groups, group_rows

    first, compared = compare_run_groups(settings, names)
    if json:
        others = [
            {"name": each.group.name, "verdict": each.verdict, "p_value": each.p_value, **asdict(each.difference)}
            for each in compared
        ]
        print_json({"first": first.name, "others": others})
        return
    _print(GROUPS_HEADER, group_rows(first, compared))
    for each in compared:
        echo(f"{each.group.name}: {each.verdict}")


def _shortened(example: str) -> str:
    return example if len(example) <= _SHOWN_CHARACTERS else f"{example[: _SHOWN_CHARACTERS - 1]}…"


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        print_rows(header, rows)
        echo()
