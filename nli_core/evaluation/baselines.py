"""What a model's accuracy is read against: baselines, and the examples that they get wrong."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from nli_core.evaluation.columns import rows_by_label
from nli_core.evaluation.metrics import accuracy_metrics
from nli_core.evaluation.slices import audited
from nli_core.filenames import AUDIT


def baseline_metrics(audit: Path, predictions: pl.DataFrame) -> dict[str, float]:
    """Measure the baselines on the examples of `predictions`: `baseline/majority/accuracy`, and that of the words.

    `audit` is the folder that audit left.
    """
    facts: dict[str, Any] = json.loads((audit / AUDIT).read_text(encoding="utf-8"))
    answers = {
        "majority": predictions["label"] == facts["majority"],
        facts["baseline"]: predictions["label"] == predictions["baseline"],
    }
    measured = {name: accuracy_metrics(right.to_numpy()) for name, right in answers.items()}
    return {f"baseline/{name}/{metric}": value for name, each in measured.items() for metric, value in each.items()}


def part_metrics(predictions: pl.DataFrame) -> dict[str, float]:
    """Measure a model on each part that audit knows (`hard/accuracy`) and each class (`class/LABEL/accuracy`)."""
    right = (predictions["label"] == predictions["predicted"]).to_numpy()
    parts = audited(predictions) | {f"class/{label}": rows for label, rows in rows_by_label(predictions).items()}
    measured = {name: accuracy_metrics(right[rows]) for name, rows in parts.items()}
    return {f"{name}/{metric}": value for name, each in measured.items() for metric, value in each.items()}
