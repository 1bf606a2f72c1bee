"""What every flow does around its work: check servers, mark dead runs, count as alive, end as cancelled."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from prefect.context import TagsContext
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.hooks import report_end
from tasks.operations.preflight import check_tracking, check_webhook
from tasks.runtime.garbage import collect_rarely_in_own_process
from tasks.runtime.liveness import register_run
from tasks.runtime.sharing import remote_outputs
from tasks.settings import Settings

Result = TypeVar("Result")
ends: dict[str, Any] = {"on_failure": [report_end], "on_crashed": [report_end], "on_cancellation": [report_end]}
"""The hooks of every flow, as arguments of `flow`."""


def shard_workers() -> TaskRunner[PrefectFuture[Any]]:
    """Make a pool of as many threads as cores: the tokenizer works outside of Python's lock."""
    return cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=os.cpu_count() or 1))


@contextmanager
def lifetime() -> Iterator[None]:
    """Check the surroundings, mark the flow runs that died, and count this one as alive for the block.

    The surroundings are the store, MLflow, and the addresses of the webhook and the bucket. The flow's tags stay with
    the flow: for a tag, each task would ask the server for its turn.
    """
    collect_rarely_in_own_process()
    settings = Settings.from_environment()
    settings.store.check_writable()
    check_tracking(settings)
    check_webhook()
    remote_outputs(settings)
    with register_run(settings, str(flow_run.id), mark_dead), TagsContext(current_tags=set()):
        yield


def mark_dead(settings: Settings, flow_run_id: str) -> None:
    """Mark the MLflow runs of a dead flow run KILLED. MLflow is only imported when there is one."""
    from tasks.tracking.runs import mark_killed

    mark_killed(settings, flow_run_id)


def cancelled(_result: type[Result], stopped: CancelledRun | str) -> Result:
    """Return what a flow returns when its work was cancelled: a state, which Prefect takes for the flow's own."""
    return cast(Result, Cancelled(message=str(stopped)))
