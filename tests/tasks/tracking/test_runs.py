"""What a run leaves in MLflow."""

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from mlflow import MlflowClient
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from flows.pipeline import RunSummary
from tasks.settings import Settings
from tasks.tracking.training_run import TrainingRun

CONSTANTS = ("/examples", "_low", "_high", "/ece")
LABELS = ["entailment", "contradiction", "neutral"]


@pytest.fixture
def client(workplace: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")


def test_a_run_holds_all_that_is_needed_to_find_and_judge_it(
    run_pipeline: Callable[..., RunSummary], client: MlflowClient
) -> None:
    summary = run_pipeline()
    assert summary.mlflow_run_id is not None
    run = client.get_run(summary.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["finetune.learning_rate"] == "0.001"
    assert run.data.params["corpus.name"] == "sample"
    tags = run.data.tags
    for stage, result in summary.outputs.items():
        assert tags[f"nli.key.{stage}"] == result.output.key
    assert tags["nli.recipe"] == "tiny"
    assert tags["nli.flow_run_id"] == summary.flow_run_id
    assert tags["nli.corpus.verified"] == "verified"
    assert tags["nli.encoder.verified"] == "unverified"
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert "| test |" in tags["mlflow.note.content"]
    assert {dataset.dataset.name for dataset in run.inputs.dataset_inputs} == {
        "sample-train",
        "sample-dev",
        "sample-test",
    }
    shown = {
        name: value
        for name, value in summary.metrics.items()
        if not name.endswith(CONSTANTS) and name.split("/")[1] != "class"
    }
    assert shown.items() <= run.data.metrics.items()
    assert not [name for name in run.data.metrics if name.startswith("pack/") or "accuracy_" in name]
    assert tags["nli.test.accuracy"].startswith(f"{run.data.metrics['test/accuracy']:.4f} [")
    profiles = {each.dataset.name: json.loads(each.dataset.profile) for each in run.inputs.dataset_inputs}
    assert profiles["sample-train"]["num_rows"] == 240
    assert profiles["sample-train"]["labels"] == dict.fromkeys(LABELS, 80)
    view = json.loads(client.get_experiment(run.info.experiment_id).tags["mlflow.sharedViewState.nli"])
    assert "metrics.`test/accuracy`" in json.loads(view["state"])["selectedColumns"]
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "train/loss")] == [
        4,
        8,
        12,
        16,
        20,
        24,
        28,
    ]
    found = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {
        "figures",
        "predictions",
        "metrics.json",
        "training.json",
        "data.json",
        "audit.json",
        "evaluation.json",
    } <= found
    figures = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "figures")}
    of_splits = ("confusion_{}.png", "reliability_{}.png", "f1_{}.png", "errors_{}.html")
    assert figures == {"learning_curves.png", "data.png", "risk_coverage_test.png"} | {
        name.format(split) for name in of_splits for split in ("dev", "test")
    }


def test_predictions_agree_with_the_metrics(finished_run: RunSummary) -> None:
    folder = finished_run.outputs["evaluate"].output.folder
    table = pl.read_parquet(folder / "predictions-test.parquet")
    assert table.columns == [
        "id",
        "premise",
        "hypothesis",
        "label",
        "predicted",
        "tokens",
        "overlap",
        "baseline",
        "in_train",
        "agreement",
        *(f"probability/{label}" for label in LABELS),
    ]
    assert (table["label"] == table["predicted"]).mean() == pytest.approx(finished_run.metrics["test/accuracy"])
    sums = table.select(pl.sum_horizontal(f"probability/{label}" for label in LABELS)).to_series().to_numpy()
    np.testing.assert_allclose(sums, 1)
    assert json.loads((folder / "metrics.json").read_text()) == finished_run.metrics


def test_the_logged_model_answers_raw_text_as_transformers_does(finished_run: RunSummary, workplace: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{workplace / 'mlflow.db'}")
    texts = pd.DataFrame(
        {
            "premise": ["A girl in a red shirt is playing chess.", "Two men."],
            "hypothesis": ["A child is playing a board game.", "A woman in a blue shirt is on a lake."],
        }
    )
    address = f"runs:/{finished_run.mlflow_run_id}/model"
    answer = mlflow.pyfunc.load_model(address).predict(texts)
    assert list(answer.columns) == ["label", *(f"probability/{label}" for label in LABELS)]

    folder = mlflow.artifacts.download_artifacts(f"{address}/artifacts/model")
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    encoded = AutoTokenizer.from_pretrained(folder)(*texts.T.values.tolist(), padding=True, return_tensors="pt")
    with torch.no_grad():
        temperature = finished_run.metrics["calibration/temperature"]
        expected = torch.softmax(theirs(**encoded).logits / temperature, dim=1).numpy()
    found = answer[[f"probability/{label}" for label in LABELS]].to_numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the pyfunc may compute in bf16
    assert answer["label"].tolist() == [LABELS[place] for place in found.argmax(axis=1)]


def test_a_resumed_training_adds_only_what_its_run_does_not_have(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    first = TrainingRun(client, run_id, resumes=False)
    for step in (10, 20, 30):
        first.log_metrics({"train/loss": 1.0 / step}, step)
    first.flush()
    second = TrainingRun(client, run_id, resumes=True)
    for step in (20, 30, 40):
        second.log_metrics({"train/loss": 1.0 / step}, step)
    second.flush()
    assert [metric.step for metric in client.get_metric_history(run_id, "train/loss")] == [10, 20, 30, 40]


def test_a_forced_training_that_dies_is_not_finished(
    finished_run: RunSummary,
    run_pipeline: Callable[..., RunSummary],
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nli_core.training.finetune.finetune", die)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(rerun=["finetune"])
    experiment = client.get_experiment_by_name("nli")
    assert experiment is not None
    statuses = {run.info.run_id: run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert sorted(statuses.values()) == ["FINISHED", "KILLED"]
    again = run_pipeline()
    assert again.mlflow_run_id == finished_run.mlflow_run_id
    assert statuses[again.mlflow_run_id] == "FINISHED"


def test_settings_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.setenv("NLI_STORE", str(tmp_path / "s"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = Settings.from_environment()
    assert settings.store.root == tmp_path / "s"
    assert settings.tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.delenv("NLI_STORE")
    assert Settings.from_environment().store.root == project / ".nli" / "store"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/mlflow")
    assert Settings.from_environment().shown_tracking_uri == "postgresql://db/mlflow"
