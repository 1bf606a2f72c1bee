"""What a flow run leaves in Prefect for those who come later: what was done, or what went wrong and how to go on."""

from collections.abc import Mapping
from typing import Any

import httpx
from prefect import Flow, State
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectException

from nli_core.config import STAGES, Stage
from nli_core.errors import UserError, reason_of
from nli_core.evaluation.headline import accuracy_text
from tasks.runtime.notify import notify
from tasks.runtime.progress import LOGGER, artifact_key
from tasks.settings import Settings
from tasks.stages.base import StageResult


def leave_summary(recipe: str, results: Mapping[Stage, StageResult], promotion: str | None) -> None:
    """Which stages ran, which were cached, where their outputs are, and how the run does against the champion.

    `promotion` says what became of the wish to make it champion, if there was one.
    """
    lines = [f"## {recipe}", ""]
    if all(result.cached for result in results.values()):
        lines += ["Nothing had changed: every stage was cached.", ""]
    lines += ["| stage | state | seconds | output |", "|---|---|---|---|"]
    for stage, result in results.items():
        lines.append(f"| {stage} | {result.state_name} | {result.seconds:.1f} | `{result.output.folder}` |")
    if evaluated := results.get("evaluate"):
        metrics = evaluated.output.facts["metrics"]
        lines += ["", *(f"- {split} accuracy {accuracy_text(metrics, split)}" for split in ("dev", "test"))]
        if evaluated.run:
            lines.append(f"- MLflow run {evaluated.run.markdown}")
        if promotion or not evaluated.cached:
            lines.append(f"- {promotion or _against_champion(evaluated)}")
    create_markdown_artifact("\n".join(lines), key=artifact_key(recipe, "run"), description=f"{recipe}: what was done")


def _against_champion(evaluated: StageResult) -> str:
    from tasks.models.champion import standing  # imports MLflow, which a cached run does without

    try:
        return standing(Settings.from_environment(), str(evaluated.mlflow_run_id))
    except UserError as error:  # the run itself is done
        return f"not compared with the champion: {error}"


def report_end(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """For flows that failed, crashed or were cancelled: an artifact, and a message to `NLI_WEBHOOK`.

    Prefect calls it in the flow's own process, or in the worker's if that is gone. Where a run of a sweep is cancelled,
    the sweep says so.
    """
    if flow_run.parent_task_run_id and state.is_cancelled():
        return
    recipe = str(flow_run.parameters.get("recipe", flow.name))
    name = "Cancelled" if state.is_cancelling() else str(state.name)  # a worker calls before it is over
    message, stage = state.message or "no reason is known", None
    try:
        with get_client(sync_client=True) as client:
            stage = _unfinished_stage(client, flow_run)
            client.create_artifact(_end_artifact(flow_run, recipe, name, message, stage))
    except (httpx.HTTPError, PrefectException) as error:  # the webhook is told all the same
        LOGGER.warning("Prefect was not told how this run ended (%s)", reason_of(error))
    told = {"recipe": recipe, "state": name, "stage": stage, "message": message}
    notify({**told, "flow_run_id": str(flow_run.id)})


def _end_artifact(flow_run: FlowRun, recipe: str, name: str, message: str, stage: Stage | None) -> ArtifactCreate:
    how = "run the same again: finished stages are cached, and a training goes on from its last checkpoint"
    lines = [f"## {recipe}: {name}", "", *([f"In the stage {stage}: "] if stage else []), message]
    return ArtifactCreate(
        key=artifact_key(recipe, "end"),
        type="markdown",
        description=f"{recipe}: {name}",
        data="\n".join([*lines, "", f"To go on, {how}."]),
        flow_run_id=flow_run.id,
    )


def _unfinished_stage(client: SyncPrefectClient, flow_run: FlowRun) -> Stage | None:
    """The stage that the flow run was in when it ended, if it had come to one."""
    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])))
    unfinished = {task.name.rpartition("-")[0] for task in tasks if task.state and not task.state.is_completed()}
    return next((stage for stage in STAGES if stage in unfinished), None)
