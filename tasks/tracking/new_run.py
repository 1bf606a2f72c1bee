"""The MLflow run of a training that begins, with everything that is known before."""

from mlflow import MlflowClient
from mlflow.entities import Param
from prefect.runtime import flow_run

from nli_core.run.plan import StageRequest
from tasks.runtime.provenance import code_tags, made_with
from tasks.settings import Settings
from tasks.tracking.run_contents import data_tags, datasets, flat_config, shown_config
from tasks.tracking.run_names import run_title
from tasks.tracking.runs import REPEAT, experiment_id
from tasks.tracking.tags import FLOW_RUN_TAG, KEY_TAG


def create_run(client: MlflowClient, settings: Settings, key: str, request: StageRequest) -> str:
    """Create the run of a training with this key; return its id."""
    tags = {
        KEY_TAG: key,
        "nli.recipe": request.recipe,
        FLOW_RUN_TAG: str(flow_run.id),
        **data_tags(request),
        **code_tags(),
    }
    run = client.create_run(experiment_id(client, settings), tags=tags, run_name=_name(request))
    params = [Param(name, str(value)[:6000]) for name, value in flat_config(request.config).items()]
    client.log_batch(run.info.run_id, params=params)
    client.log_inputs(run.info.run_id, datasets(request))
    repeat = {"recipe": request.recipe, "config": shown_config(request.config), "made_with": made_with()}
    client.log_dict(run.info.run_id, repeat, REPEAT)
    return str(run.info.run_id)


def _name(request: StageRequest) -> str:
    """Return the name of the pipeline's flow run, which somebody may have chosen."""
    is_pipeline = flow_run.flow_name == "pipeline"
    return str(flow_run.name) if is_pipeline else run_title(request.recipe, request.config)
