"""MLflow's local database, asked without MLflow: yes only where MLflow itself would say so."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.pipeline import RunSummary
from nli_core.store.manifest import Output
from tasks.settings import Settings
from tasks.tracking.sqlite_lookup import EVALUATED_TAG, PUBLISHED_TAG, RunLink, tracked_run


@pytest.fixture
def outputs(finished_run: RunSummary) -> tuple[Output, Output]:
    return finished_run.outputs["finetune"].output, finished_run.outputs["evaluate"].output


def test_a_run_counts_while_it_holds_all(outputs: tuple[Output, Output], workplace: Path) -> None:
    settings = Settings.from_environment()
    client = MlflowClient(settings.tracking_uri)
    trained, evaluated = outputs
    run_id = trained.facts["mlflow_run_id"]
    assert tracked_run(settings, trained, evaluated) == tracked_run(settings, trained) == RunLink(run_id, None)

    client.set_tag(run_id, EVALUATED_TAG, "another")
    assert tracked_run(settings, trained, evaluated) is None
    assert tracked_run(settings, trained) is not None

    client.update_run(run_id, status="RUNNING")
    assert tracked_run(settings, trained) is None
    client.update_run(run_id, status="FINISHED")
    client.delete_run(run_id)
    assert tracked_run(settings, trained) is None
    client.restore_run(run_id)
    client.delete_tag(run_id, PUBLISHED_TAG)
    assert tracked_run(settings, trained) is None


def test_what_cannot_be_asked_does_not_count(outputs: tuple[Output, Output], tmp_path: Path) -> None:
    settings, (trained, _) = Settings.from_environment(), outputs
    sqlite3.connect(tmp_path / "other.db").close()
    for address in ("http://127.0.0.1:1", f"sqlite:///{tmp_path / 'missing.db'}", f"sqlite:///{tmp_path / 'other.db'}"):
        assert tracked_run(replace(settings, tracking_uri=address), trained) is None
    assert not (tmp_path / "missing.db").exists()
