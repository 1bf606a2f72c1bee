"""The training curves, kept beside the checkpoints, so that they outlive any tracking server.

Only what the seed decides is kept (losses, rates, norms), never what the clock does.
"""

import json
import shutil
from pathlib import Path

from nli_core.callbacks import Point
from nli_core.filenames import HISTORY


def read_history(folder: Path) -> list[Point]:
    """Read all points of the curves in `folder`, oldest first."""
    path = folder / HISTORY
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return [Point(row.pop("step"), row) for row in rows]


def add_point(folder: Path, point: Point) -> None:
    """Append a point to the curves in `folder`."""
    with (folder / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": point.step, **point.metrics}) + "\n")


def reset_history(folder: Path, checkpoint: Path | None) -> None:
    """Put the curves in `folder` back to those of a checkpoint, or to none."""
    if checkpoint:
        shutil.copyfile(checkpoint / HISTORY, folder / HISTORY)
    else:
        (folder / HISTORY).write_text("", encoding="utf-8")
