"""Names of metrics as MLflow takes them: without some characters, not too long, and no two alike."""

import re
from collections.abc import Iterable

_REFUSED = re.compile(r"[^\w\-. /:]")
_LONGEST = 240  # characters; MLflow takes 250


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """Map each name to the one that MLflow gets. Of names that become alike, all but one get a number.

    A name that MLflow takes as it is keeps it.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names, key=lambda name: (_clean(name) != name, name)):
        clean, number = _clean(name), 1
        while (numbered := clean if number == 1 else f"{clean}_{number}") in taken:
            number += 1
        taken.add(numbered)
        found[name] = numbered
    return found


def _clean(name: str) -> str:
    """Replace what MLflow refuses: characters, and parts between slashes that would lead elsewhere as a path."""
    parts = _REFUSED.sub("_", name)[:_LONGEST].split("/")
    return "/".join("_" if part.strip() in ("", ".", "..") else part for part in parts)
