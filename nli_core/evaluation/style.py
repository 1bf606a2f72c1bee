"""The look of all figures. Uses no pyplot, and so no global state."""

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from nli_core.printable import printable

ACCENT = "#2f6db5"
SECOND = "#c8553d"
MOST_INCHES = 20.0  # of a figure's side: 2,600 pixels
MOST_ROWS = 40
_DPI = 130
_MOST_CHARACTERS = 40  # of a label


def plain(text: str) -> str:
    """Return text that matplotlib draws as it is: shortened, and without the dollar signs that begin a formula."""
    shown = printable(text)
    shown = shown if len(shown) <= _MOST_CHARACTERS else f"{shown[: _MOST_CHARACTERS - 1]}…"
    return shown.replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # which draws a box for it
        figure.savefig(path, dpi=_DPI)
