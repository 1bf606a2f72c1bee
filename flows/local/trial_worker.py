"""The trials of a sweep, in processes of their own: they run concurrently, and a dead one does not stop the others.

`python -m flows.local.trial_worker` is such a process. Each line that it reads is a trial, and each line that it writes
is the result of one.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import IO, Any, cast
from uuid import UUID, uuid4

import httpx
from prefect import State, Task
from prefect.client.orchestration import get_client
from prefect.context import TagsContext
from prefect.exceptions import CancelledRun, PrefectException
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling, Pending

from flows.local.devices import DeviceSlot
from flows.local.environment import set_library_defaults
from flows.local.launch import local_session
from flows.pipeline import pipeline
from flows.summary import RunSummary
from nli_core.errors import UserError, reason_of
from nli_core.evaluation.sweep import Trial
from nli_core.log import LOGGER
from nli_core.run.config import RunConfig, parse_config

_POLL_SECONDS = 0.2
_STOP = "stop\n"
_ENGINE = "PREFECT__"  # prefix of the variables by which a worker controls the process of one flow run


class TrialProcess:
    """Runs one trial after the other on one device. The process starts with the first, and again after it died."""

    def __init__(self, slot: DeviceSlot, *, has_terminal: bool) -> None:
        """Without the terminal, the process prefixes each of its lines with the run's title."""
        self._slot = {**slot, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
        self._has_terminal = has_terminal
        self._process: subprocess.Popen[str] | None = None
        self._relaying: threading.Thread | None = None
        self._title = ""

    def run(self, asked: dict[str, Any], title: str, should_stop: Callable[[], bool]) -> dict[str, Any]:
        """Return the state, message and summary of the run's end. Tell it once to stop if `should_stop`."""
        self._title = title
        process = self._process = self._process or self._start()
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):  # it died, and the result says so
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
        asked_to_stop = False
        while not select.select([process.stdout], [], [], _POLL_SECONDS)[0]:
            if should_stop() and not asked_to_stop:
                asked_to_stop = True
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(_STOP)
                    process.stdin.flush()
        if answer := process.stdout.readline():
            return dict(json.loads(answer))
        self.close()
        message = f"its process ended with status {process.returncode}; rerun the command to resume"
        return {"state": "CANCELLED" if asked_to_stop else "CRASHED", "message": message}

    def close(self) -> None:
        """Stop the process, which runs nothing now."""
        process, self._process = self._process, None
        if process is None:
            return
        with process, contextlib.suppress(BrokenPipeError):
            assert process.stdin
            process.stdin.close()
            process.wait()
            if self._relaying:
                self._relaying.join()

    def _start(self) -> "subprocess.Popen[str]":
        set_library_defaults()  # so that what it inherits is set before it imports Prefect
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_ENGINE)}
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.local.trial_worker"],
            env={**inherited, **self._slot},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self._has_terminal else subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which passes it on once
            text=True,
        )
        if process.stderr:
            self._relaying = threading.Thread(target=self._relay, args=(process.stderr,))
            self._relaying.start()
        return process

    def _relay(self, lines: IO[str]) -> None:
        for line in lines:
            print(f"[{self._title}] {line}", end="", file=sys.stderr, flush=True)


def run_trial(
    values: str,
    config: RunConfig,
    recipe: str,
    title: str,
    free: SimpleQueue[TrialProcess],
    parent: str,
    should_stop: Callable[[], bool],
) -> Trial:
    """Run the pipeline in a free process, as a child of the flow run `parent`.

    Raises:
        CancelledRun: it was asked to stop.
        UserError: the run failed, or its process died.
    """
    process = free.get()
    try:
        if should_stop():
            raise CancelledRun("not begun")
        name = f"{values}, seed {config.finetune.seed}"
        plain = config.model_dump(mode="json", exclude_unset=True)
        asked = {"config": plain, "recipe": recipe, "parent": parent, "name": name}
        ended = process.run(asked, title, should_stop)
    finally:
        free.put(process)
    if ended["state"] == "CANCELLED":
        raise CancelledRun(ended["message"])
    if ended["state"] != "COMPLETED":
        raise UserError(f"{name}: {ended['message']}")
    run, metrics = ended["run"], ended["run"]["metrics"]
    return Trial(values, config.finetune.seed, run["mlflow_run_id"], metrics["dev/accuracy"], metrics["test/accuracy"])


class _Child:
    """The process' side: runs what the lines say, and cancels a run in Prefect when the line says stop."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._busy = threading.Event()
        self._flow_run_id: UUID | None = None
        threading.Thread(target=copy_context().run, args=(self._read,), daemon=True).start()

    def run_all(self, answer: Callable[[str], object]) -> None:
        """Run line by line and write each result, until there are no more lines."""
        while line := self._lines.get():
            ended = _plain(self._run(json.loads(line)))
            self._flow_run_id = None
            self._busy.clear()
            answer(json.dumps(ended))

    def _read(self) -> None:
        """Queue the lines. If they end during a run, the sweep was killed, and this process kills itself."""
        for line in sys.stdin:
            if line == _STOP:
                self._stop()
            else:
                self._busy.set()
                self._lines.put(line)
        if self._busy.is_set():
            os.kill(os.getpid(), signal.SIGKILL)
        self._lines.put("")

    def _stop(self) -> None:
        try:
            if self._flow_run_id:
                with get_client(sync_client=True) as client:
                    client.set_flow_run_state(self._flow_run_id, Cancelling())
                return
        except (httpx.HTTPError, PrefectException) as error:
            LOGGER.warning("Prefect did not take the cancellation of this run (%s)", reason_of(error))
        os.kill(os.getpid(), signal.SIGTERM)

    def _run(self, asked: dict[str, Any]) -> State[RunSummary]:
        config, recipe = parse_config(asked["config"]), str(asked["recipe"])
        with get_client(sync_client=True) as client:
            # Prefect does the same for a flow that is called within a flow of the same process.
            below = Task(pipeline.fn, name=pipeline.name)
            task_run = client.create_task_run(below, UUID(asked["parent"]), dynamic_key=uuid4().hex, name=asked["name"])
            flow_run = client.create_flow_run(
                pipeline,
                parameters=pipeline.serialize_parameters({"config": config, "recipe": recipe}),
                parent_task_run_id=task_run.id,
                tags=TagsContext.get().current_tags,
                state=Pending(),
            )
        self._flow_run_id = flow_run.id
        return cast(State[RunSummary], run_flow(pipeline, flow_run, return_type="state"))


def _plain(state: State[RunSummary]) -> dict[str, Any]:
    if state.is_completed():
        return {"state": "COMPLETED", "run": state.result().as_json()}
    error = state.result(raise_on_failure=False)
    message = str(error) if isinstance(error, UserError) else state.message
    return {"state": state.type.value, "message": message}


def main() -> None:
    """Run what the lines of the input say, until there are no more lines."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no result
    with local_session():
        _Child().run_all(lambda line: print(line, file=answers, flush=True))


if __name__ == "__main__":
    main()
