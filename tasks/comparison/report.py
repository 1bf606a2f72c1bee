"""A comparison of runs as text: markdown for Prefect and for people, HTML with a figure, plain values for programs."""

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from mlflow.entities import Run

from nli_core.evaluation.comparison import Accuracy, Part
from nli_core.evaluation.figures import save_differences
from nli_core.evaluation.significance import SIGNIFICANT
from nli_core.printable import printable
from tasks.comparison.compare import MOST_TEXTS, Compared

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "th,td{border-bottom:1px solid #ddd;padding:.3rem .8rem;text-align:left}"
    "th{background:#f5f6f8}img{max-width:100%}"
)
DIFFERENCES = ("differs", "", "first", "second")
PARTS = ("part", "examples", "first", "second", "difference", "p")
CHANGES = ("id", "example", "label", "first", "second")
Texts = Mapping[int, tuple[str, ...]]


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
    paired = part.paired
    return f"{paired.difference * 100:+.2f} [{paired.low * 100:+.2f}, {paired.high * 100:+.2f}] points"


def p_text(value: float) -> str:
    """Format a p value."""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def as_json(first: Run, compared: Sequence[Compared]) -> dict[str, Any]:
    """Return everything as plain values, with the examples that changed sides by id."""
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
                "changed": other.comparison.changed.to_dicts(),
            }
            for other in compared
        ],
    }


def as_markdown(first: Run, compared: Sequence[Compared], texts: Texts) -> str:
    """Render the whole report except the figure."""
    lines = [f"# {run_name(first)} against {', '.join(run_name(other.run) for other in compared)}"]
    lines += [
        "",
        "Accuracy on test with 95 % intervals; differences are the second's less the first's. "
        "The p values of parts are not corrected: among many parts, some differ by chance.",
    ]
    for other in compared:
        lines += ["", f"## {run_name(other.run)}", "", f"**{verdict(other)}** (McNemar's exact test; Holm over runs)"]
        lines += _differing(other)
        lines += ["", *_table(PARTS, part_rows(other))]
        lines += _changed(other, texts)
    return "\n".join(lines) + "\n"


def as_html(first: Run, compared: Sequence[Compared], texts: Texts) -> str:
    """Render the report as one self-contained page with figures."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(as_markdown(first, compared, texts))
    figures = "".join(
        f"<h2>{escape(run_name(other.run))}: differences by part</h2><img src='data:image/png;base64,{_figure(other)}'>"
        for other in compared
    )
    title = escape(f"{run_name(first)} compared")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title><style>{_STYLE}</style>"
        f"</head><body>{body}{figures}</body></html>\n"
    )


def part_rows(other: Compared) -> list[tuple[str, ...]]:
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


def short_part_rows(other: Compared) -> list[tuple[str, ...]]:
    """Return `part_rows` without the intervals of the accuracies, for a narrow terminal."""
    return [
        (name, examples, first.split()[0], second.split()[0], difference.removesuffix(" points"), p_value)
        for name, examples, first, second, difference, p_value in part_rows(other)
    ]


def differing_rows(other: Compared) -> list[tuple[str, ...]]:
    """Return the kind of each difference, its name, and both values."""
    return [(kind, *row) for kind in ("parameters", "data", "code") for row in getattr(other, kind)]


def changed_rows(other: Compared, texts: Texts, most: int) -> list[tuple[str, ...]]:
    """Return examples that changed sides: id, text, label and both predictions."""
    return [
        (str(row["id"]), " → ".join(texts.get(row["id"], ())), row["label"], row["first"], row["second"])
        for row in other.comparison.changed.head(most).to_dicts()
    ]


def _differing(other: Compared) -> list[str]:
    if rows := differing_rows(other):
        return ["", *_table(DIFFERENCES, rows)]
    return ["", "Parameters, data and code are the same."]


def _changed(other: Compared, texts: Texts) -> list[str]:
    paired, rows = other.comparison.parts[0].paired, changed_rows(other, texts, MOST_TEXTS)
    lines = ["", f"{paired.only_second:,} examples are right in the second alone, {paired.only_first:,} in the first."]
    if rows:
        lines += ["", f"{len(rows)} of {other.comparison.changed.height:,}, those that the second got wrong first:", ""]
        lines += _table(CHANGES, rows)
    return lines


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(printable(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def _figure(other: Compared) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "differences.png"
        save_differences([(part.name, part.paired) for part in other.comparison.parts], path)
        return base64.b64encode(path.read_bytes()).decode()
