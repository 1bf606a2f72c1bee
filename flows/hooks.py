"""Prefect's hooks for flow runs that did not end well: an artifact that says what happened and how to resume."""

import re
from typing import Any

import httpx
from prefect import Flow, State
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectException

from nli_core.config import STAGES, Stage
from nli_core.errors import reason_of
from nli_core.log import LOGGER
from tasks.runtime.notify import notify
from tasks.runtime.progress import alone, artifact_key

_HOW_TO_RESUME = (
    "To resume, rerun the same command: finished stages are cached, and a training resumes from its last checkpoint."
)
_FIX = "Change what it names, then rerun: finished stages are cached."
# What Prefect and Python put before a message.
_PREFIX = re.compile(r"^((Flow|Task) run encountered an exception:? ?)?([\w.]*UserError: )?")


def report_end(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Leave an artifact for a flow run that failed, crashed or was cancelled, and notify `NLI_WEBHOOK`.

    Prefect calls it in the flow's own process, or in the worker's after the process died. For a cancelled trial the
    sweep reports instead.
    """
    if flow_run.parent_task_run_id and state.is_cancelled():
        return
    recipe = str(flow_run.parameters.get("recipe", flow.name))
    name = "Cancelled" if state.is_cancelling() else str(state.name)  # a worker calls before the end
    message, stage = reason_of_end(state), None
    try:
        with get_client(sync_client=True) as client:
            stage = _unfinished_stage(client, flow_run)
            is_of_user = "UserError: " in (state.message or "")
            remedy = _FIX if is_of_user else _HOW_TO_RESUME
            key = artifact_key(recipe, *alone(flow.name), "end")
            client.create_artifact(_end_artifact(flow_run, f"{recipe}: {name}", key, message, stage, remedy))
    except (httpx.HTTPError, PrefectException) as error:  # the webhook is notified all the same
        LOGGER.warning("Prefect was not notified of how this run ended (%s)", reason_of(error))
    message_ = {"recipe": recipe, "state": name, "stage": stage, "message": message}
    notify({**message_, "flow_run_id": str(flow_run.id)})


def reason_of_end(state: State) -> str:
    """Return why a flow run ended, in the words of the error alone."""
    return _PREFIX.sub("", state.message or "no reason is known")


def _end_artifact(
    flow_run: FlowRun, title: str, key: str, message: str, stage: Stage | None, remedy: str
) -> ArtifactCreate:
    lines = [f"## {title}", "", *([f"In the stage {stage}: "] if stage else []), message, "", remedy]
    return ArtifactCreate(key=key, type="markdown", description=title, data="\n".join(lines), flow_run_id=flow_run.id)


def _unfinished_stage(client: SyncPrefectClient, flow_run: FlowRun) -> Stage | None:
    """Find the stage that the flow run was in when it ended, if any."""
    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])))
    unfinished = [task.name for task in tasks if task.state and not task.state.is_completed()]
    return next((stage for stage in STAGES if any(re.match(rf"{stage}\b", name) for name in unfinished)), None)
