"""The trust report of a run: its figures follow from the predictions alone, and it is one page and a model card."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest
from huggingface_hub import ModelCard
from mlflow import MlflowClient
from sklearn.metrics import brier_score_loss, f1_score, log_loss
from statsmodels.stats.proportion import proportion_confint

from flows.summary import RunSummary

LABELS = ("entailment", "contradiction", "neutral")


def _accuracy(right: pl.Series) -> tuple[float, float, float]:
    low, high = proportion_confint(int(right.sum()), len(right), method="wilson")
    return float(np.mean(right.to_numpy())), float(low), float(high)


def _check(metrics: dict[str, float], name: str, right: pl.Series) -> None:
    found = metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"]
    assert found == pytest.approx(_accuracy(right), abs=1e-9), name


def test_every_figure_follows_from_the_predictions(
    run_pipeline: Callable[..., RunSummary], shared_data: Path, workplace: Path
) -> None:
    """An independent computation that reads nothing but Parquet files, by other libraries than the project's."""
    hans = {"name": "hans", "source": str(shared_data / "robustness" / "hans_eval_100_per_subcase.tsv")}
    summary = run_pipeline(evaluate={"challenges": [hans]})
    metrics, folder = summary.metrics, summary.outputs["evaluate"].output.folder
    test, dev, challenge = (
        pl.read_parquet(folder / f"{name}.parquet")
        for name in ("predictions-test", "predictions-dev", "challenge-hans")
    )
    probabilities = test.select(f"probability/{label}" for label in LABELS).to_numpy()
    label_ids = np.array([LABELS.index(label) for label in test["label"]])
    right = test["label"] == test["predicted"]
    _check(metrics, "test/accuracy", right)
    _check(metrics, "dev/accuracy", dev["label"] == dev["predicted"])
    _check(metrics, "test/hard/accuracy", right.filter(test["baseline"] != test["label"]))
    _check(metrics, "test/easy/accuracy", right.filter(test["baseline"] == test["label"]))
    _check(metrics, "baseline/hypothesis_only/accuracy", test["baseline"] == test["label"])
    assert metrics["test/macro_f1"] == pytest.approx(f1_score(test["label"], test["predicted"], average="macro"))

    temperature = metrics["calibration/temperature"]
    logits = np.log(probabilities) / temperature
    calibrated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for prefix, each in (("test", probabilities), ("test/calibrated", calibrated)):
        assert metrics[f"{prefix}/nll"] == pytest.approx(log_loss(label_ids, each, labels=[0, 1, 2]), abs=1e-6)
        of_labels = [brier_score_loss(label_ids == label, each[:, label]) for label in range(3)]
        assert metrics[f"{prefix}/brier"] == pytest.approx(sum(of_labels), abs=1e-6)
        confidence, hits = each.max(axis=1), each.argmax(axis=1) == label_ids
        edges = np.linspace(0, 1, 16)
        gaps = [
            abs(confidence[rows].sum() - hits[rows].sum())
            for low, high in itertools.pairwise(edges)
            if (rows := (confidence >= low) & (confidence < high)).any()
        ]
        assert metrics[f"{prefix}/ece"] == pytest.approx(sum(gaps) / len(each), abs=1e-6)
    assert (calibrated.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    order = np.argsort(-calibrated.max(axis=1), kind="stable")
    wrong = ~right.to_numpy()[order]
    assert metrics["test/aurc"] == pytest.approx(np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1)), abs=1e-6)

    answers = np.where(challenge["probability/entailment"] > 0.5, "entailment", "non-entailment")
    hits = challenge["label"] == pl.Series(answers)
    _check(metrics, "challenge/hans/accuracy", hits)
    for heuristic in challenge["group"].unique():
        _check(metrics, f"challenge/hans/{heuristic}/accuracy", hits.filter(challenge["group"] == heuristic))

    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    _check_page(client, str(summary.mlflow_run_id), metrics)
    _check_card(client, str(summary.mlflow_run_id), metrics)


def _text_of(client: MlflowClient, run_id: str, name: str) -> str:
    mlflow.set_tracking_uri(client.tracking_uri)
    return mlflow.artifacts.load_text(f"runs:/{run_id}/{name}")


def _check_page(client: MlflowClient, run_id: str, metrics: dict[str, float]) -> None:
    page = _text_of(client, run_id, "report.html")
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)\s*=", page)
    for name in ("test/accuracy", "test/hard/accuracy", "challenge/hans/accuracy", "baseline/hypothesis_only/accuracy"):
        assert f"{metrics[name]:.4f} [{metrics[f'{name}_low']:.4f}, {metrics[f'{name}_high']:.4f}]" in page
    assert f"nli run --from-mlflow {run_id}" in page
    assert "nothing is required of it" in page
    titles = ["Challenge sets", "Calibration on test", "Shortcuts in train", "Behaviour", "Data", "Cost, origin"]
    for title in [*titles, "labelled neutral"]:
        assert title in page


def _check_card(client: MlflowClient, run_id: str, metrics: dict[str, float]) -> None:
    """The hub's own validator needs the hub; its library reads the metadata back."""
    text = _text_of(client, run_id, "README.md")
    card = ModelCard(text)
    results = {result.metric_name: result for result in card.data.eval_results or ()}
    assert results["test/accuracy"].metric_value == pytest.approx(metrics["test/accuracy"], abs=1e-4)
    assert results["challenge/hans/accuracy"].dataset_name == "hans"
    assert card.data.to_dict()["model-index"][0]["name"] == "tiny"
    folder = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/model/artifacts/model")
    assert (Path(folder) / "README.md").read_text(encoding="utf-8") == text
    assert json.loads((Path(folder) / "calibration.json").read_text())["fitted_on"] == "dev"


def test_a_report_is_written_for_runs_by_name(
    finished_run: RunSummary, nli_here: Callable[..., Any], workplace: Path
) -> None:
    run_id = str(finished_run.mlflow_run_id)
    done = nli_here("report", run_id[:10], "--output", "report.html")
    assert done.returncode == 0, done.stderr
    page = (workplace / "report.html").read_text(encoding="utf-8")
    assert run_id in page
    assert "nli-sample has no champion yet" in page
    for words, message in (
        ([run_id, "--output", "report.pdf"], "name a file that ends in .html"),
        (["ffff", "--output", "report.html"], "no run of this id"),
        ([run_id, "--output", "away/report.html"], "cannot be written"),
    ):
        refused = nli_here("report", *words)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr
