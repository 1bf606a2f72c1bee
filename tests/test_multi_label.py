"""A corpus of texts with several labels from end to end: trained, measured, compared, promoted and served."""

import csv
import json
import random
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from flows.pipeline import RunSummary
from nli_core.evaluation.promotion_rules import Margins
from nli_core.filenames import CALIBRATION, MODEL
from tasks.comparison.compare import compare_runs
from tasks.comparison.report import as_json, as_markdown
from tasks.models.champion import promote
from tasks.settings import Settings

TOPICS = {"2": "sports", "3": "business", "4": "science"}  # World is no label: some texts have none
LABELS = ("business", "science", "sports")


@pytest.fixture
def articles(small_news: Path, tmp_path: Path) -> Path:
    """One to three news each, labelled with their topics."""
    news = list(csv.reader(StringIO((small_news / "train.csv").read_text())))
    source = random.Random(0)
    path = tmp_path / "articles.csv"
    with path.open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(["text", "topics"])
        for _ in range(400):
            some = source.sample(news, source.choice((1, 1, 2, 3)))
            topics = {TOPICS[label] for label, *_ in some if label in TOPICS}
            written.writerow([" ".join(body[:60] for *_, body in some), " | ".join(sorted(topics))])
    return path


def _sets(answers: pl.Series) -> "np.ndarray[Any, Any]":
    return np.array([[label in answer.split("|") for label in LABELS] for answer in answers])


@pytest.mark.slow
def test_the_recipe_of_several_labels_runs(
    run_recipe: Callable[..., RunSummary],
    articles: Path,
    tiny_encoder: Path,
    nli_here: Callable[..., Any],
    workplace: Path,
) -> None:
    settings = {"corpus__train": articles, "encoder__name": tiny_encoder, "pack__max_length": 48}
    first = run_recipe("multi-label-example", **settings)
    second = run_recipe("multi-label-example", **settings, finetune__learning_rate=3e-3, finetune__seed=1)
    for summary in (first, second):
        _check_figures(summary)

    here = Settings.from_environment()
    ids = [str(summary.mlflow_run_id) for summary in (first, second)]
    baseline, compared = compare_runs(here, ids)
    (score, _) = as_json(baseline, compared)["others"][0]["scores"]
    gained = [second.metrics[f"test/{score['name']}"], first.metrics[f"test/{score['name']}"]]
    assert score["value"] == pytest.approx(gained[0] - gained[1])
    assert "Differences in F1: micro-F1 " in as_markdown(here, baseline, compared)

    assert promote(here, ids[0], model="topics", reason=None, margins=Margins()).promoted
    page = str(MlflowClient(here.tracking_uri).get_model_version("topics", "1").description)
    assert "micro-F1 0." in page
    run = MlflowClient(here.tracking_uri).get_run(ids[0])
    assert run.data.metrics["test/micro_f1"] == first.metrics["test/micro_f1"]
    report = Path(mlflow.artifacts.download_artifacts(f"runs:/{ids[0]}/report.html")).read_text()
    assert all(words in report for words in ("micro-F1", "macro-F1", "mean average precision", "labelled science"))

    texts = pl.read_csv(articles)["text"].head(40).to_list()
    (workplace / "rows.csv").write_text(pl.DataFrame({"text": texts}).write_csv())
    told = nli_here("predict", "--model", "topics@champion", "--input", "rows.csv", "--output", "told.jsonl")
    assert told.returncode == 0, told.stderr
    predicted = pl.read_ndjson(workplace / "told.jsonl")
    served = mlflow.pyfunc.load_model("models:/topics@champion").predict(pd.DataFrame({"text": texts}))
    assert served["label"].tolist() == predicted["label"].to_list()
    calibration = json.loads((first.outputs["evaluate"].output.folder / CALIBRATION).read_text())
    for label in LABELS:
        probabilities = predicted[f"probability/{label}"].to_numpy()
        np.testing.assert_allclose(served[f"probability/{label}"], probabilities, atol=1e-6)
        reached = probabilities >= calibration["thresholds"][label]
        assert [label in answer.split("|") for answer in predicted["label"]] == reached.tolist()


def _check_figures(summary: RunSummary) -> None:
    """Compute the figures from the predictions alone."""
    folder, metrics = summary.outputs["evaluate"].output.folder, summary.metrics
    described = json.loads((summary.outputs["finetune"].output.folder / MODEL / "config.json").read_text())
    assert described["problem_type"] == "multi_label_classification"
    for split in ("dev", "test"):
        table = pl.read_parquet(folder / f"predictions-{split}.parquet")
        true, answers = _sets(table["label"]), _sets(table["predicted"])
        probabilities = table.select(f"probability/{label}" for label in LABELS).to_numpy()
        assert metrics[f"{split}/accuracy"] == pytest.approx(accuracy_score(true, answers))
        assert metrics[f"{split}/micro_f1"] == pytest.approx(f1_score(true, answers, average="micro"))
        assert metrics[f"{split}/macro_f1"] == pytest.approx(f1_score(true, answers, average="macro", zero_division=0))
        for index, label in enumerate(LABELS):
            precision = average_precision_score(true[:, index], probabilities[:, index])
            assert metrics[f"{split}/average_precision/{label}"] == pytest.approx(precision)
        assert not true.any(axis=1).all(), "some examples have no label"
    assert metrics["baseline/bag_of_words/accuracy"] == pytest.approx(accuracy_score(true, _sets(table["baseline"])))
    audited = json.loads((summary.outputs["audit"].output.folder / "audit.json").read_text())
    assert metrics["baseline/majority/accuracy"] == pytest.approx((table["label"] == audited["majority"]).mean())


@pytest.mark.faults("inputs tried")
@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("evaluate.challenges=[hans]", "challenges: are for corpora whose examples have one label each"),
        ("corpus.labels=a|b,c", r"labels: 'a|b' has the label_separator '|' in it"),
        ("corpus.label_separator=", "corpus.label_separator"),
        ('corpus.labels=["a ", b]', "labels: 'a ' is empty or has spaces around it"),
        ("corpus.multi_label=false", "label_separator: is for multi_label"),
    ],
)
def test_what_does_not_fit_several_labels_is_refused(
    nli_here: Callable[..., Any], articles: Path, field: str, fault: str
) -> None:
    found = nli_here("run", "multi-label-example", "--set", f"corpus.train={articles}", "--set", field, "--explain")
    assert found.returncode == 2
    assert fault in found.stderr
