"""The look of all figures and pages. Uses no pyplot, and so no global state."""

import warnings
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nli_core.printable import printable

ACCENT = "#2f6db5"
SECOND = "#c8553d"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # distinct for all eyes (Okabe, Ito 2008)
SPLIT_COLOURS = {"train": "#6c757d", "dev": SECOND, "test": ACCENT}
MOST_INCHES = 20.0  # of a figure's side: 2,600 pixels
MOST_ROWS = 40
_DPI = 130
_MOST_CHARACTERS = 40  # of a label

_PAGE_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "th,td{border-bottom:1px solid #ddd;padding:.3rem .8rem;text-align:left;vertical-align:top}"
    "th{background:#f5f6f8}img{max-width:100%}"
    ".row{display:flex;gap:1rem}figure{flex:1;min-width:0;margin:0}"
)


def html_page(title: str, body: str) -> str:
    """Return a self-contained page; `body` is HTML, the title text."""
    shown = escape(printable(title))
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{shown}</title>"
        f"<style>{_PAGE_STYLE}</style></head><body><h1>{shown}</h1>{body}</body></html>\n"
    )


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of texts as HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = ["".join(f"<td>{escape(printable(str(cell)))}</td>" for cell in row) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def plain(text: str) -> str:
    """Return text that matplotlib draws as it is: shortened, and without the dollar signs that begin a formula."""
    shown = printable(text)
    shown = shown if len(shown) <= _MOST_CHARACTERS else f"{shown[: _MOST_CHARACTERS - 1]}…"
    return shown.replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG. `Figure.savefig` would go through it twice."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # which draws a box for it
        figure.set_dpi(_DPI)
        FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]
