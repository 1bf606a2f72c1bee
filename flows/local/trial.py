"""One run of a trial: a flow run below the sweep's, in a process of its own.

The runs are concurrent, and a dead one does not stop the others. A stop is set in Prefect for the flow run, which sees
it on any machine; its state and labels say how it ended.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TypeVar
from uuid import UUID, uuid4

import httpx
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import TagsContext
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling, Pending

from flows.lifecycle import mark_dead
from flows.local.devices import DeviceSlot
from flows.local.environment import set_library_defaults
from flows.pipeline import pipeline
from nli_core.errors import reason_of
from nli_core.log import LOGGER
from nli_core.run.config import RunConfig
from tasks.runtime.liveness import mark_ended, register_launch
from tasks.settings import Settings

_POLL_SECONDS = 0.2
_WAIT_SECONDS = 2.0
_ENGINE = "PREFECT__"  # prefix of the variables by which a worker controls the process of one flow run

Answer = TypeVar("Answer")


class TrialRunner:
    """Runs the pipeline in processes, each as a flow run below the flow run `parent`."""

    def __init__(self, parent: UUID, recipe: str, settings: Settings) -> None:
        self._parent, self._recipe, self._settings = parent, recipe, settings
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Kill the processes, and wait for an unavailable Prefect no more."""
        self._given_up.set()

    def run(
        self, name: str, config: RunConfig, slot: DeviceSlot, should_stop: Callable[[UUID], bool], title: str | None
    ) -> FlowRun:
        """Run the pipeline on the devices of `slot`; return the flow run after its end.

        `should_stop` is called with the flow run's id, now and then. `title` prefixes each line of the process; None
        leaves it the terminal.
        """
        with register_launch(self._settings, mark_dead):
            run_id = self._answered(lambda: self._create(name, config)).id
            with _process(run_id, slot, title) as process:
                stopped = False
                while not _has_ended(process):
                    if self._given_up.is_set():
                        process.kill()
                    elif not stopped and should_stop(run_id):
                        stopped = True
                        _stop(process, run_id)
            reason = f"its process ended with status {process.returncode}; rerun the command to resume"
            self._answered(lambda: mark_ended(self._settings, str(run_id), mark_dead, reason))
            return self._answered(lambda: _read(run_id))

    def _create(self, name: str, config: RunConfig) -> FlowRun:
        """Create the flow run, as Prefect does for a flow that is called within a flow of the same process."""
        with get_client(sync_client=True) as client:
            below = Task(pipeline.fn, name=pipeline.name)
            task_run = client.create_task_run(below, self._parent, dynamic_key=uuid4().hex, name=name)
            return client.create_flow_run(
                pipeline,
                parameters=pipeline.serialize_parameters({"config": config, "recipe": self._recipe}),
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
                if self._given_up.is_set():
                    raise
                if not waiting:
                    LOGGER.warning("Prefect is unavailable (%s); the sweep waits for it", reason_of(error))
                waiting = True
                time.sleep(_WAIT_SECONDS)


def _read(run_id: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id)


@contextmanager
def _process(run_id: UUID, slot: DeviceSlot, title: str | None) -> Iterator["subprocess.Popen[str]"]:
    """Run the process for the block, which waits for its end; if the block raises, the process is killed."""
    set_library_defaults()  # so that what it inherits is set before it imports Prefect
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_ENGINE)}
    with subprocess.Popen(
        [sys.executable, "-m", "flows.local.trial_worker", str(run_id)],
        env={**inherited, **slot, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE if title else None,
        start_new_session=True,  # Ctrl-C reaches the sweep alone, which passes it on once
        text=True,
    ) as process:
        relaying = threading.Thread(target=_relay, args=(process.stderr, title))
        if process.stderr:
            relaying.start()
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            if process.stderr:
                relaying.join()


def _relay(lines: IO[str], title: str) -> None:
    for line in lines:
        print(f"[{title}] {line}", end="", file=sys.stderr, flush=True)


def _has_ended(process: "subprocess.Popen[str]") -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_POLL_SECONDS)
    return process.returncode is not None


def _stop(process: "subprocess.Popen[str]", run_id: UUID) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run_id, Cancelling())
    except (httpx.HTTPError, PrefectException) as error:
        LOGGER.warning("Prefect did not take the cancellation of a run (%s)", reason_of(error))
        process.send_signal(signal.SIGTERM)
