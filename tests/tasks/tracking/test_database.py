"""A tracking database in states that a user can mend."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.pipeline import RunSummary
from nli_core.errors import UserError
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.database import check_database
from tasks.tracking.runs import find_run

pytestmark = pytest.mark.faults("inputs tried")


def test_a_locked_database_is_not_to_be_moved(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.tracking.database._BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(workplace / "mlflow.db")) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match=r"mlflow.db: another process has locked it; rerun once that has ended$"):
            check_database(Settings.from_environment())


KILLED_WRITER = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
database.execute("UPDATE experiments SET name = name || ?", ("x" * 100_000,))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_database_whose_writer_was_killed_is_used(workplace: Path) -> None:
    path = workplace / "mlflow.db"
    before = [each.name for each in MlflowClient(f"sqlite:///{path}").search_experiments()]
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (workplace / "mlflow.db-journal").stat().st_size > 0
    with (
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database,
    ):
        database.execute("PRAGMA schema_version")
    check_database(Settings.from_environment())
    with mlflow_client(Settings.from_environment()) as client:
        assert [each.name for each in client.search_experiments()] == before


def test_a_folder_is_no_database(workplace: Path) -> None:
    (workplace / "mlflow.db").unlink()
    (workplace / "mlflow.db").mkdir()
    with pytest.raises(UserError, match=r"mlflow.db: is a folder, and no database"):
        check_database(Settings.from_environment())


def test_a_deleted_run_is_named_with_its_remedy(finished_run: RunSummary, workplace: Path) -> None:
    run_id = str(finished_run.mlflow_run_id)
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    client.delete_run(run_id)
    settings = Settings.from_environment()
    with (
        pytest.raises(
            UserError, match=rf"^{run_id[:8]}: the run was deleted .* `mlflow runs restore --run-id {run_id}`"
        ),
        mlflow_client(settings) as asked,
    ):
        find_run(asked, settings, run_id[:8])


def test_a_deleted_experiment_is_named_with_its_remedy(
    finished_run: RunSummary, run_pipeline: Callable[..., RunSummary], workplace: Path
) -> None:
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("nli")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    number = experiment.experiment_id
    with pytest.raises(UserError, match=f"nli was deleted; .* `mlflow experiments restore --experiment-id {number}`"):
        run_pipeline(finetune={"epochs": 1})
    client.restore_experiment(experiment.experiment_id)
    assert run_pipeline(finetune={"epochs": 1}).mlflow_run_id


def test_a_deleted_run_of_a_cached_training_is_made_again(
    finished_run: RunSummary, run_pipeline: Callable[..., RunSummary], workplace: Path
) -> None:
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    client.delete_run(str(finished_run.mlflow_run_id))
    again = run_pipeline()
    assert again.mlflow_run_id != finished_run.mlflow_run_id
    assert client.get_run(str(again.mlflow_run_id)).data.metrics["test/accuracy"] == again.metrics["test/accuracy"]
    assert run_pipeline().mlflow_run_id == again.mlflow_run_id


def test_a_database_that_cannot_be_written_is_named_with_its_remedy(finished_run: RunSummary, workplace: Path) -> None:
    with (
        pytest.raises(UserError, match=r"failed \(attempt to write a readonly database\); make it writable"),
        mlflow_client(Settings.from_environment()) as client,
    ):
        (workplace / "mlflow.db").unlink()
        client.set_tag(str(finished_run.mlflow_run_id), "a", "b")
