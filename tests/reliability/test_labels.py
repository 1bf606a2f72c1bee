"""Labels of any number and spelling, from the user's file to MLflow and the terminal."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.image import imread
from mlflow import MlflowClient

from nli_core.filenames import predictions_name


def _numbered(many: int) -> tuple[str, ...]:
    return tuple(f"label {number}" for number in range(many))


HOSTILE = ("$_$", "$^$", "a+b", "a*b", "..", "x\x1b[31m\nred", "n" * 300, "世界")


@pytest.mark.faults("inputs tried")
@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(HOSTILE, id="hostile"),
        *(pytest.param(_numbered(many), id=str(many)) for many in (2, 77, 1_000)),
    ],
)
@pytest.mark.slow
def test_any_labels_train_and_are_evaluated(
    run_pipeline: Callable[..., Any], nli_here: Callable[..., Any], workplace: Path, labels: tuple[str, ...]
) -> None:
    for split in ("train", "dev", "test"):
        with (workplace / f"{split}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "label"])
            rows.writerows([f"text number {number}", label] for number, label in enumerate(labels))
    files = {split: str(workplace / f"{split}.csv") for split in ("train", "dev", "test")}
    corpus = {"name": "file", **files, "premise": "text", "hypothesis": None, "labels": labels}
    summary = run_pipeline(corpus=corpus, finetune={"epochs": 1, "batch_size": 2})
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    run = client.get_run(str(summary.mlflow_run_id))
    assert sum(name.startswith("test/f1/") for name in run.data.metrics) == len(labels)
    figures = Path(str(summary.outputs["evaluate"].output.folder)) / "figures"
    assert all(max(imread(path).shape[:2]) <= 2_700 for path in figures.glob("*.png"))
    predicted = pl.read_parquet(figures.parent / predictions_name("test"))
    assert predicted["label"].to_list() == list(labels)
    if labels is HOSTILE:
        table = json.loads(Path(client.download_artifacts(run.info.run_id, "metric_names.json")).read_text())
        assert {table[name] for name in table if name in run.data.metrics} >= {"test/f1/a+b", "test/f1/a*b"}
        told = nli_here("predict", "--model", run.info.run_id, "--premise", "x").stdout
        assert "x\\x1b[31m\\nred" in told
        assert "\x1b" not in told
