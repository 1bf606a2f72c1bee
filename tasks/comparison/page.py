"""A comparison of runs as one self-contained page: the differences as a forest plot on top, and both runs' figures."""

import base64
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from mlflow.entities import Run

from nli_core.errors import UserError
from nli_core.evaluation.figures import save_differences
from nli_core.evaluation.style import html_page
from tasks.comparison.compare import Compared, read_figures, report_name
from tasks.comparison.report import as_markdown, details_markdown, letter, run_name, runs_markdown, title
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client


def write_report(settings: Settings, first: Run, compared: Sequence[Compared], path: Path) -> None:
    """Write the whole report to a file: .md as Markdown, anything else as a page.

    Raises:
        UserError: the file cannot be written.
    """
    report = as_markdown(settings, first, compared) if path.suffix == ".md" else as_html(settings, first, compared)
    try:
        path.write_text(report, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--report {path}: cannot be written ({error.strerror}); name another file") from None


def publish_report(settings: Settings, first: Run, compared: Sequence[Compared]) -> None:
    """Leave the report as a page in every run that was compared with the first."""
    page = as_html(settings, first, compared)
    with mlflow_client(settings) as client:
        for other in compared:
            client.log_text(other.run.info.run_id, page, report_name(first))


def as_html(settings: Settings, first: Run, compared: Sequence[Compared]) -> str:
    """Render the report as a page, with the figures that evaluate left in the runs."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    forests = "".join(
        f"<h2>{letter(place)} against A, by part</h2>{_image(_forest(other), 'differences by part')}"
        for place, other in enumerate(compared, start=1)
    )
    runs = [first, *(other.run for other in compared)]
    figures = read_figures(settings, runs)
    body = markdown.render(runs_markdown(settings, first, compared)) + forests
    body += markdown.render(details_markdown(compared)) + _side_by_side(runs, figures)
    return html_page(title(first, compared), body)


def _side_by_side(runs: Sequence[Run], figures: Mapping[str, Mapping[str, bytes]]) -> str:
    """Show each figure of all runs in a line."""
    lines = []
    for name in dict.fromkeys(name for run in runs for name in figures.get(run.info.run_id, {})):
        cells = []
        for place, run in enumerate(runs):
            if png := figures.get(run.info.run_id, {}).get(name):
                caption = f"{letter(place)}: {run_name(run)}"
                cells.append(f"<figure>{_image(png, caption)}<figcaption>{escape(caption)}</figcaption></figure>")
        lines.append(f"<h2>{escape(name.replace('_', ' '))}</h2><div class='row'>{''.join(cells)}</div>")
    return "".join(lines)


def _image(png: bytes, alt: str) -> str:
    return f"<img alt='{escape(alt, quote=True)}' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"


def _forest(other: Compared) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "differences.png"
        save_differences([(part.name, part.paired) for part in other.comparison.parts], path)
        return path.read_bytes()
