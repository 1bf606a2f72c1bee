"""The logged model behind `mlflow models serve`, asked over HTTP."""

import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests

from flows.local.servers import free_port
from flows.pipeline import RunSummary
from nli_core.filenames import MODEL
from nli_core.inference.predictor import Predictor

LABELS = ["entailment", "contradiction", "neutral"]
PAIR = {"premise": "A girl in a red shirt is playing chess.", "hypothesis": "A child is playing a board game."}


@pytest.fixture
def logged_model(finished_run: RunSummary, workplace: Path) -> Path:
    """The model as MLflow keeps it, in a folder of its own."""
    mlflow.set_tracking_uri(f"sqlite:///{workplace / 'mlflow.db'}")
    source = f"runs:/{finished_run.mlflow_run_id}/model"
    return Path(mlflow.artifacts.download_artifacts(source, dst_path=str(workplace / "logged")))


@contextmanager
def _served(model: Path, python: Path, port: int, cwd: Path) -> Iterator[Callable[[Any], requests.Response]]:
    """Asks a server that was started with this Python, which finds neither the project nor any other server."""
    command = [str(python), "-m", "mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "PYTHON"))}
    environment = {**kept, "PATH": f"{python.parent}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (cwd / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)], cwd=cwd, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert server.poll() is None, (cwd / "serve.log").read_text()
            try:
                requests.get(f"{address}/ping", timeout=30).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.2)
        yield lambda body: requests.post(f"{address}/invocations", json=body, timeout=60)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _check_answers(ask: Callable[[Any], requests.Response], model: Path) -> None:
    """One row, many rows, and rows in MLflow's other form; then what cannot be answered."""
    expected = Predictor(model).probabilities([PAIR["premise"]], [PAIR["hypothesis"]])[0]
    (one,) = ask({"dataframe_records": [PAIR]}).json()["predictions"]
    assert one["label"] == LABELS[expected.argmax()]
    assert [one[f"probability/{label}"] for label in LABELS] == pytest.approx(expected, abs=2e-2)
    many = ask({"dataframe_split": {"columns": list(PAIR), "data": [list(PAIR.values())] * 700}}).json()["predictions"]
    assert len(many) == 700
    for body, reason in (
        ({"dataframe_records": [{"premise": "A girl."}]}, "hypothesis"),
        ({"dataframe_records": [PAIR, PAIR | {"premise": None}]}, "row 1 has no premise"),
        ({"dataframe_records": [PAIR | {"hypothesis": " "}]}, "row 0 has no hypothesis"),
        ({"dataframe_records": [PAIR | {"premise": 3}]}, "premise"),
        ({"rows": [PAIR]}, "dataframe_records"),
    ):
        refused = ask(body)
        assert (refused.status_code, reason in refused.text) == (400, True), refused.text


@pytest.mark.slow
def test_the_served_model_answers_and_says_what_it_cannot_answer(
    logged_model: Path, finished_run: RunSummary, tmp_path: Path
) -> None:
    with _served(logged_model, Path(sys.executable), free_port(), tmp_path) as ask:
        _check_answers(ask, finished_run.outputs["finetune"].output.folder / MODEL)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_needs_nothing_but_what_it_says_itself(logged_model: Path, finished_run: RunSummary, tmp_path: Path) -> None:
    """In a new virtual environment with the model's own requirements, without the project."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    requirements = str(logged_model / "requirements.txt")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--requirement", requirements], check=True)
    absent = subprocess.run([str(python), "-c", "import nli_core"], cwd=tmp_path, capture_output=True, check=False)
    assert absent.returncode == 1
    with _served(logged_model, python, free_port(), tmp_path) as ask:
        _check_answers(ask, finished_run.outputs["finetune"].output.folder / MODEL)
