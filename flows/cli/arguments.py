"""What commands demand of the names and texts on their command line."""

import re
from typing import TypeVar

import typer

Given = TypeVar("Given", str, list[str], str | None)

_BROKEN = re.compile(r"[\ud800-\udfff]")  # Python's stand-ins for bytes that are not UTF-8


def filled(given: Given) -> Given:
    """Refuse names and texts that are empty, or are not UTF-8."""
    for text in given if isinstance(given, list) else [given]:
        if text is not None and not text.strip():
            raise typer.BadParameter("is empty; give some text")
        if text is not None and _BROKEN.search(text):
            raise typer.BadParameter("is not UTF-8; set the terminal to UTF-8")
    return given
