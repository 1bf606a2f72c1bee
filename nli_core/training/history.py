"""The training curves, kept beside the checkpoints, so that they outlive any tracking server.

Only what the seed decides is kept (losses, rates, norms), never what the clock does.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from nli_core.outputs import HISTORY
from nli_core.progress import Point


def read_history(folder: Path) -> list[Point]:
    """All points of the curves in `folder`, oldest first."""
    path = folder / HISTORY
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return [Point(row.pop("step"), row) for row in rows]


class History:
    """Appends points to `history.jsonl`."""

    def __init__(self, folder: Path, rows: int) -> None:
        """Go on after the first `rows` points; later ones were written after the checkpoint that training resumes."""
        self._path = folder / HISTORY
        kept = self._path.read_text(encoding="utf-8").splitlines(keepends=True)[:rows] if rows else []
        self._path.write_text("".join(kept), encoding="utf-8")
        self.rows = len(kept)

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        self.rows += 1
