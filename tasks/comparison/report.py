"""A comparison of runs as text: rows for tables, Markdown, and plain values for programs.

The first run is A, the baseline; the others are B, C and so on.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl
from mlflow.entities import Run

from nli_core.evaluation.columns import TEXTS, shown
from nli_core.evaluation.comparison import Accuracy, Part
from nli_core.evaluation.multi_label import Score
from nli_core.evaluation.significance import SIGNIFICANT, Paired
from nli_core.printable import printable
from tasks.comparison.compare import Compared
from tasks.settings import Settings
from tasks.tracking.runs import run_link

DIFFERENCES = ("differs", "", "A", "{}")
PARTS = ("part", "examples", "A", "{}", "difference", "p")
CHANGES = ("id", "example", "label", "A", "{}")
RUNS = ("", "run", "test accuracy", "against A", "p (Holm)", "trained", "on")
MOST_TEXTS = 20
Rows = list[tuple[str, ...]]


def letter(place: int) -> str:
    """Return the short name of a run by its place, 0 for the first."""
    return chr(ord("A") + place) if place < 26 else f"run {place + 1}"


def header(cells: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the header of a table that has A and the run of this short name."""
    return tuple(cell.format(name) for cell in cells)


def run_name(run: Run) -> str:
    """Return a run's name and the prefix of its id."""
    return printable(f"{run.info.run_name} {run.info.run_id[:8]}")


def verdict(compared: Compared) -> str:
    """Return one sentence: which is better, by how much, and whether that could be chance."""
    everything = compared.comparison.parts[0]
    which = "better" if everything.paired.difference > 0 else "worse"
    chance = p_text(compared.p_value)
    equals = "" if chance.startswith("<") else "= "
    found = "no difference shown" if compared.p_value >= SIGNIFICANT else which
    return f"{found}: {difference_text(everything)}, p {equals}{chance}"


def accuracy_text(accuracy: Accuracy) -> str:
    """Format an accuracy with its interval."""
    return f"{accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}]"


def difference_text(part: Part) -> str:
    """Format a difference in points, with its interval: `+1.20 [+0.45, +1.95]`."""
    return _points(part.paired)


def scores_text(compared: Compared) -> str:
    """Write how much F1 differs between multi-label models; empty for others."""
    return ", ".join(f"{score.name.replace('_f1', '-F1')} {_points(score)}" for score in compared.comparison.scores)


def _points(found: Paired | Score) -> str:
    value = found.difference if isinstance(found, Paired) else found.value
    return f"{value * 100:+.2f} [{found.low * 100:+.2f}, {found.high * 100:+.2f}] points"


def p_text(value: float) -> str:
    """Format a p value."""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def as_json(first: Run, compared: Sequence[Compared]) -> dict[str, Any]:
    """Return everything as plain values, with the examples that changed sides."""
    return {
        "first": {"run_id": first.info.run_id, "name": first.info.run_name},
        "others": [
            {
                "run_id": other.run.info.run_id,
                "name": other.run.info.run_name,
                "verdict": verdict(other),
                "p_value": other.p_value,
                "differs": {"parameters": other.parameters, "data": other.data, "code": other.code},
                "parts": [asdict(part) for part in other.comparison.parts],
                "scores": [asdict(score) for score in other.comparison.scores],
                "changed": other.comparison.changed.to_dicts(),
            }
            for other in compared
        ],
    }


def run_rows(first: Run, compared: Sequence[Compared]) -> Rows:
    """Return a row for each run, the most accurate on top: a ladder."""
    rows = [(compared[0].comparison.parts[0].first, (letter(0), run_name(first)), ("", ""), _cost(first))]
    for place, other in enumerate(compared, start=1):
        everything = other.comparison.parts[0]
        against = (difference_text(everything), p_text(other.p_value))
        rows.append((everything.second, (letter(place), run_name(other.run)), against, _cost(other.run)))
    rows.sort(key=lambda row: row[0].value, reverse=True)
    return [(*names, accuracy_text(accuracy), *against, *cost) for accuracy, names, against, cost in rows]


def part_rows(other: Compared) -> Rows:
    """Return part, examples, both accuracies, difference and p value."""
    return [
        (
            part.name,
            f"{part.paired.examples:,}",
            accuracy_text(part.first),
            accuracy_text(part.second),
            difference_text(part),
            p_text(part.paired.p_value),
        )
        for part in other.comparison.parts
    ]


def short_part_rows(other: Compared) -> Rows:
    """Return `part_rows` without the intervals of the accuracies, for a narrow terminal."""
    return [
        (name, examples, first.split()[0], second.split()[0], difference.removesuffix(" points"), p_value)
        for name, examples, first, second, difference, p_value in part_rows(other)
    ]


def differing_rows(other: Compared) -> Rows:
    """Return the kind of each difference, its name, and both values."""
    return [(kind, *row) for kind in ("parameters", "data", "code") for row in getattr(other, kind)]


def lost_and_gained(other: Compared, most: int) -> tuple[Rows, Rows]:
    """Return examples that this run alone gets wrong, and those that it alone gets right, the surest answers first.

    A row has id, text, label, and what both predict.
    """
    changed = other.comparison.changed
    lost, gained = (
        changed.filter(pl.col("first") == pl.col("label")),
        changed.filter(pl.col("second") == pl.col("label")),
    )
    return _texts(lost.head(most)), _texts(gained.head(most))


def as_markdown(settings: Settings, first: Run, compared: Sequence[Compared]) -> str:
    """Render the whole report except the figures."""
    heading = f"# {_plain(title(first, compared))}"
    return f"{heading}\n\n{runs_markdown(settings, first, compared)}\n{details_markdown(compared)}"


def title(first: Run, compared: Sequence[Compared]) -> str:
    """Name all runs."""
    return f"{run_name(first)} against {', '.join(run_name(other.run) for other in compared)}"


def runs_markdown(settings: Settings, first: Run, compared: Sequence[Compared]) -> str:
    """Render the table of all runs, with links to their pages where a server has them."""
    links = {run_name(run): run_link(settings, run).address for run in (first, *(other.run for other in compared))}
    rows = [
        (short, f"[{name}]({links[name]})" if links[name] else name, *others)
        for short, name, *others in run_rows(first, compared)
    ]
    lines = [*_table(RUNS, rows), ""]
    lines += ["Intervals are 95 %; p is McNemar's exact test against A, corrected for the number of runs (Holm)."]
    return "\n".join(lines) + "\n"


def details_markdown(compared: Sequence[Compared]) -> str:
    """Render what differs between A and each other run: settings, parts of test, and examples."""
    lines = []
    for place, other in enumerate(compared, start=1):
        name = letter(place)
        lines += ["", f"## {name}: {_plain(run_name(other.run))}", "", f"**{verdict(other)}**", ""]
        if scores := scores_text(other):
            lines += [f"Differences in F1: {scores}.", ""]
        if rows := differing_rows(other):
            lines += _table(header(DIFFERENCES, name), rows)
        else:
            lines += ["Parameters, data and code are the same."]
        lines += ["", *_table(header(PARTS, name), part_rows(other)), ""]
        lines += ["The p values of parts are not corrected: among many parts, some differ by chance."]
        paired = other.comparison.parts[0].paired
        lost, gained = lost_and_gained(other, MOST_TEXTS)
        for rows, count, which in ((lost, paired.only_first, "wrong"), (gained, paired.only_second, "right")):
            lines += ["", f"### {count:,} examples that {name} alone gets {which}", ""]
            if rows:
                lines += [*_table(header(CHANGES, name), rows), ""]
            if len(rows) < count:
                lines += [f"The {len(rows)} surest are shown.", ""]
    return "\n".join(lines) + "\n"


def _cost(run: Run) -> tuple[str, str]:
    """Return how long the training of a run took, and on what; earlier versions did not say how long."""
    seconds = run.data.tags.get("nli.training_seconds")
    return f"{float(seconds):,.1f} s" if seconds else "", run.data.tags.get("nli.device", "")


def _texts(changed: pl.DataFrame) -> Rows:
    texts = [name for name in TEXTS if name in changed.columns]
    answers = ("label", "first", "second")
    return [
        (str(row["id"]), " → ".join(row[name] for name in texts), *(shown(row[name]) for name in answers))
        for row in changed.to_dicts()
    ]


def _plain(text: str) -> str:
    """Write text as Markdown that shows it: without marks of HTML and of tables."""
    return printable(text).replace("<", "&lt;").replace("|", "\\|")


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [names, ["---"] * len(names), *rows]
    return ["| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines]
