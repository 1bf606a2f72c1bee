"""How commands print: tables and sentences for people, one JSON object for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from nli_core.printable import printable

_WIDE = 1000  # characters: a file has no edge at which to fold a line
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def echo(text: str = "", *, stderr: bool = False) -> None:
    """Print a line unfolded, however long; a folded line cannot be copied."""
    lines = "\n".join(map(printable, text.split("\n")))
    Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False).print(lines)


def error(message: str) -> None:
    """Print on stderr, in one line, why a command ends early."""
    echo(f"nli: {message}", stderr=True)


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]], *, stderr: bool = False) -> None:
    """Print a table without lines; an empty header prints none."""
    table = Table(*header, box=None, pad_edge=False, show_header=bool(header))
    for row in rows:
        table.add_row(*map(printable, row))
    for column in table.columns:
        column.overflow = "fold"
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else _WIDE
    Console(stderr=stderr, width=width, highlight=False, markup=False).print(table)


def print_json(values: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps(values), flush=True)
