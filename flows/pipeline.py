"""The chain: download → pack → finetune → evaluate."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from prefect import flow
from prefect.context import TagsContext
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.hooks import leave_summary, report_end
from nli_core.config import STAGES, RunConfig, Stage
from nli_core.errors import UserError
from nli_core.run.plan import Outputs
from tasks.operations.preflight import check_tracking
from tasks.runtime.liveness import present
from tasks.settings import Settings
from tasks.stages.base import StageResult
from tasks.stages.download import download
from tasks.stages.evaluate import evaluate
from tasks.stages.finetune import finetune
from tasks.stages.pack import pack
from tasks.stages.promote import promote


@dataclass(frozen=True)
class RunSummary:
    """What a run did: its stages in order, its metrics, and where to find it."""

    recipe: str
    flow_run_id: str
    mlflow_run_id: str | None
    tracking_uri: str
    stages: dict[Stage, StageResult]
    metrics: dict[str, float]
    promotion: str | None


ends: dict[str, Any] = {"on_failure": [report_end], "on_crashed": [report_end], "on_cancellation": [report_end]}


def shard_workers() -> TaskRunner[PrefectFuture[Any]]:
    """As many threads as cores: the tokenizer works outside of Python's lock."""
    return cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=os.cpu_count() or 1))


@flow(name="pipeline", flow_run_name="{recipe}", task_runner=shard_workers(), **ends)
def pipeline(
    config: RunConfig,
    recipe: str = "custom",
    rerun: list[Stage] | None = None,
    until: Stage = "evaluate",
    promote_as: str | None = None,
) -> RunSummary:
    """Run every stage up to `until`, each only if its output is not there yet.

    Args:
        config: The configuration; nli_core/config describes every field.
        recipe: The recipe's name, for runs and artifacts.
        rerun: Stages to do again, and with them every stage after.
        until: The last stage.
        promote_as: A name in the registry, such as nli-snli: the run becomes its champion if it is better by the rules.

    Raises:
        UserError: something that the user can mend.
    """
    if promote_as and until != "evaluate":
        raise UserError(f"promote_as: only an evaluated run can be champion; leave out until={until}")
    results: dict[Stage, StageResult] = {}
    upstream: Outputs = {}
    promotion = None
    forced = [STAGES.index(stage) for stage in rerun or ()]
    try:
        with lifetime():
            for place, stage in enumerate(STAGES[: STAGES.index(until) + 1]):
                again = any(first <= place for first in forced)
                results[stage] = run_stage_task(stage, config, upstream, recipe, again)
                upstream[stage] = results[stage].output
            if promote_as:
                promotion = promote(str(results["evaluate"].mlflow_run_id), promote_as).result()
    except CancelledRun as stopped:
        return cancelled(stopped)
    return summarize(recipe, results, promotion)


@contextmanager
def lifetime() -> Iterator[None]:
    """What every flow does around its work: look whether servers are there, mark the dead, count as alive.

    The flow's tags stay with the flow: for a tag, each task would ask the server for its turn.
    """
    settings = Settings.from_environment()
    check_tracking(settings)
    with present(settings, str(flow_run.id)), TagsContext(current_tags=set()):
        yield


def cancelled(stopped: CancelledRun) -> RunSummary:
    """What a flow returns when a stage was cancelled: a state, which Prefect takes for the flow's own."""
    return cast(RunSummary, Cancelled(message=str(stopped)))


def run_stage_task(stage: Stage, config: RunConfig, upstream: Outputs, recipe: str, rerun: bool) -> StageResult:
    """Run the task of one stage within the current flow."""
    if stage == "download":
        return download(config, upstream, rerun).result()
    if stage == "pack":
        return pack(config, upstream, rerun).result()
    if stage == "finetune":
        return finetune(config, upstream, recipe, rerun).result()
    return evaluate(config, upstream, recipe, rerun).result()


def summarize(recipe: str, results: dict[Stage, StageResult], promotion: str | None = None) -> RunSummary:
    """What the stages did, for the terminal and for `--json`; an artifact in Prefect says it too."""
    leave_summary(recipe, results, promotion)
    runs = [result.mlflow_run_id for result in results.values() if result.mlflow_run_id]
    measured: dict[str, Any] = results["evaluate"].output.facts["metrics"] if "evaluate" in results else {}
    return RunSummary(
        recipe=recipe,
        flow_run_id=str(flow_run.id),
        mlflow_run_id=runs[-1] if runs else None,
        tracking_uri=Settings.from_environment().shown_tracking_uri,
        stages=results,
        metrics=measured,
        promotion=promotion,
    )
