"""What runs are called, in Prefect and in MLflow."""

import subprocess
from collections.abc import Callable

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.states import Pending
from prefect.utilities.names import generate_slug

from flows.pipeline import RunSummary, pipeline
from nli_core.run.config import RunConfig
from tasks.settings import Settings


def _newest() -> FlowRun:
    with get_client(sync_client=True) as client:
        return max(client.read_flow_runs(), key=lambda run: str(run.created))


def test_a_name_is_that_of_the_flow_run_and_of_the_mlflow_run(
    nli_here: Callable[..., "subprocess.CompletedProcess[str]"], tiny_settings: list[str]
) -> None:
    done = nli_here("run", "sample", *tiny_settings, "--until", "finetune", "--name", "first {try}")
    assert done.returncode == 0, done.stderr
    newest = _newest()
    assert newest.name == "first {try}"
    assert "sample" in newest.tags
    (run,) = MlflowClient(Settings.from_environment().tracking_uri).search_runs(["1"])
    assert run.info.run_name == "first {try}"


@pytest.mark.parametrize("typed", ["warm-start", "alpha-test", None, "tau282-chactun-v"])
def test_a_typed_name_is_kept_and_one_of_prefects_is_not(
    finished_run: RunSummary, tiny_config: Callable[..., RunConfig], typed: str | None
) -> None:
    with get_client(sync_client=True) as client:
        parameters = pipeline.serialize_parameters({"config": tiny_config(), "recipe": "tiny"})
        created = client.create_flow_run(
            pipeline, parameters=parameters, name=typed or generate_slug(2), state=Pending()
        )
        run_flow(pipeline, created)
        assert client.read_flow_run(created.id).name == ("tiny" if typed is None or "282" in typed else typed)
