"""The report as one self-contained page: no script, no network, at most two sheets of paper."""

from collections.abc import Sequence
from html import escape

from nli_core.evaluation.report.record import RunRecord
from nli_core.evaluation.report.sections import PARTS, Part
from nli_core.printable import printable

_STYLE = (
    ":root{color-scheme:light}"
    "body{font:13px/1.35 system-ui,sans-serif;max-width:64rem;margin:1rem auto;padding:0 .8rem;color:#1c2024}"
    "h1{font-size:1.35rem;margin:.2rem 0}h2{font-size:1rem;margin:.9rem 0 .2rem;color:#2f6db5}"
    "table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid #e3e5e8;padding:.12rem .5rem .12rem 0;"
    "text-align:left;vertical-align:top}td:nth-child(-n+2){white-space:nowrap}"
    ".free td{white-space:normal;overflow-wrap:anywhere}.free td:first-child{white-space:nowrap}"
    "th{font-weight:600;color:#5a6370}"
    "p{margin:.25rem 0}code{background:#f5f6f8;padding:.05rem .3rem;overflow-wrap:anywhere}"
    ".meets{color:#1a7f4b}.misses{color:#b3261e}.verdict{font-weight:600}"
    ".narrow{columns:2;column-gap:1.6rem}.narrow h2{break-after:avoid}tr{break-inside:avoid}"
    "@media(max-width:700px){.narrow{columns:1}body{font-size:14px}td:nth-child(-n+2){white-space:normal}"
    "table{display:block;overflow-x:auto}}"
    "@media print{@page{size:A4;margin:9mm}body{font-size:7.2pt;line-height:1.25;margin:0;max-width:none}"
    "h1{font-size:11pt}h2{font-size:8.5pt;margin:.5rem 0 .1rem}td,th{padding:.04rem .4rem .04rem 0}p{margin:.1rem 0}}"
)
_WIDE = ("behaviour", "data", "origins")
_WRAPPED = ("shortcuts", "origins")  # whose second column has words


def report_html(records: Sequence[RunRecord]) -> str:
    """Render the reports of one run, or of several below each other."""
    title = f"Trust report: {', '.join(record.name for record in records)}"
    body = "".join(_run(record) for record in records)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def report_markdown(record: RunRecord) -> str:
    """Render the report in short: the verdict, accuracy and challenge sets."""
    lines = [f"## Trust report: {_cell(record.name)}", ""]
    if record.verdict:
        lines += [f"**{_cell(record.verdict)}**", ""]
    for name in ("accuracy", "challenges"):
        part = PARTS[name](record)
        lines += [f"### {part.title}", ""]
        if part.rows:
            lines += [_line(part.header), _line(["---"] * len(part.header)), *map(_line, part.rows), ""]
        lines += [*map(_cell, part.sentences), ""]
    lines.append(f"The whole report is `report.html` of the MLflow run; `{record.repeat}` repeats the run.")
    return "\n".join(lines)


def _run(record: RunRecord) -> str:
    verdict = record.verdict or "nothing is required of it (evaluate.requirements)"
    whose = f"Verdict on the run {record.run_id[:8]}, the best of its seeds on dev" if record.seeds else "Verdict"
    kind = "" if record.verdict is None else "misses" if record.verdict.startswith("does not") else "meets"
    head = [
        f"<h1>{_text(record.name)}</h1>",
        f"<p class='verdict {kind}'>{whose}: {_text(verdict)}</p>",
        f"<p>Recipe {_text(record.recipe)}, {_text(record.created)}.</p>",
        f"<p>Repeat it: <code>{_text(record.repeat)}</code></p>",
    ]
    if record.standing:
        head.append(f"<p>{_text(record.standing)}</p>")
    made = {name: make(record) for name, make in PARTS.items()}
    shown = {name: _section(name, part) for name, part in made.items() if part.rows or part.sentences}
    narrow, wide = (
        "".join(section for name, section in shown.items() if (name in _WIDE) == is_wide) for is_wide in (False, True)
    )
    return f"<article>{''.join(head)}<div class='narrow'>{narrow}</div>{wide}</article>"


def _section(name: str, part: Part) -> str:
    table = ""
    if part.rows:
        head = "".join(f"<th>{_text(cell)}</th>" for cell in part.header)
        rows = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in part.rows)
        table = f"<table><tr>{head}</tr>{rows}</table>"
    below = "".join(f"<p>{_text(sentence)}</p>" for sentence in part.sentences)
    kind = "free" if name in _WRAPPED else ""
    return f"<section class='{kind}'><h2>{_text(part.title)}</h2>{table}{below}</section>"


def _text(value: object) -> str:
    return escape(printable(str(value)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: str) -> str:
    return printable(value).replace("<", "&lt;").replace("|", "\\|")
