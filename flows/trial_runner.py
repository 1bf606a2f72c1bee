"""One run of a trial: a flow run below the sweep's, in a process of its own, here or on another machine.

The runs are concurrent, and a dead one does not stop the others. A stop is set in Prefect for the flow run, which sees
it on any machine; its state says how it ended.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

import httpx
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import TagsContext
from prefect.exceptions import PrefectException
from prefect.states import Cancelling, Pending

from flows.lifecycle import mark_dead
from flows.pipeline import pipeline
from flows.summary import read_mlflow_run
from nli_core.errors import reason_of
from nli_core.log import LOGGER
from nli_core.run.config import RunConfig
from tasks.runtime.liveness import mark_ended, register_launch
from tasks.settings import Settings

_WAIT_SECONDS = 2.0

Answer = TypeVar("Answer")


class TrialProcess(Protocol):
    """A process that runs a flow run, on this machine or another."""

    def has_ended(self) -> bool:
        """Wait a moment; return whether it has ended."""

    def stop(self) -> None:
        """Stop it at a checkpoint, without Prefect."""

    def kill(self) -> None:
        """End it now."""

    @property
    def fate(self) -> str:
        """How it ended, in words."""


Start = Callable[[UUID, str | None], AbstractContextManager[TrialProcess]]
"""Starts the process of a flow run, where it has devices for itself, and kills it if the block raises.

The title prefixes each line of the process; None leaves it the terminal.
"""


class TrialRunner:
    """Runs the pipeline in processes, each as a flow run below the flow run `parent`."""

    def __init__(self, parent: UUID, recipe: str, settings: Settings) -> None:
        self._parent, self._recipe, self._settings = parent, recipe, settings
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Kill the processes, and wait for an unavailable Prefect no more."""
        self._given_up.set()

    @property
    def is_given_up(self) -> bool:
        """Whether the processes were killed."""
        return self._given_up.is_set()

    def run(
        self, name: str, config: RunConfig, start: Start, should_stop: Callable[[UUID], bool], title: str | None
    ) -> FlowRun:
        """Run the pipeline in a process that `start` makes; return the flow run after its end.

        `should_stop` is called with the flow run's id, now and then.
        """
        with register_launch(self._settings, mark_dead):
            run_id = self._answered(lambda: self._create(name, config)).id
            with start(run_id, title) as process:
                stopped = False
                while not process.has_ended():
                    if self.is_given_up:
                        process.kill()
                    elif not stopped and should_stop(run_id):
                        stopped = True
                        _stop(process, run_id)
            reason = f"{process.fate}; rerun the command to resume"
            self._answered(lambda: mark_ended(self._settings, str(run_id), mark_dead, reason))
            return self._answered(lambda: _read(run_id))

    def read_mlflow_run(self, ended: FlowRun) -> str | None:
        """Return the MLflow run of a flow run, if it left a summary."""
        return self._answered(lambda: read_mlflow_run(ended.id))

    def _create(self, name: str, config: RunConfig) -> FlowRun:
        """Create the flow run, as Prefect does for a flow that is called within a flow of the same process."""
        with get_client(sync_client=True) as client:
            below = Task(pipeline.fn, name=pipeline.name)
            task_run = client.create_task_run(below, self._parent, dynamic_key=uuid4().hex, name=name)
            return client.create_flow_run(
                pipeline,
                parameters=pipeline.serialize_parameters({"config": config, "recipe": self._recipe}),
                name=f"{self._recipe} {name}",
                parent_task_run_id=task_run.id,
                tags=TagsContext.get().current_tags,
                state=Pending(),
            )

    def _answered(self, ask: Callable[[], Answer]) -> Answer:
        """Wait for Prefect while it is unavailable."""
        waiting = False
        while True:
            try:
                return ask()
            except (httpx.HTTPError, PrefectException) as error:
                if self.is_given_up:
                    raise
                if not waiting:
                    LOGGER.warning("Prefect is unavailable (%s); the sweep waits for it", reason_of(error))
                waiting = True
                time.sleep(_WAIT_SECONDS)


def _read(run_id: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id)


def _stop(process: TrialProcess, run_id: UUID) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run_id, Cancelling())
    except (httpx.HTTPError, PrefectException) as error:
        LOGGER.warning("Prefect did not take the cancellation of a run (%s)", reason_of(error))
        process.stop()
