"""The runs of a sweep, in processes of their own: several can go on at once, and one that dies takes no other along.

`python -m flows.local.trial_worker` is such a process: each line that it reads is a run, each line that it writes what
became of it.
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
_ENGINE = "PREFECT__"  # begins the variables by which a worker leads the process of one flow run


class TrialProcess:
    """Runs one pipeline after the other in one place. The process begins with the first, and anew after one died."""

    def __init__(self, slot: DeviceSlot, *, has_terminal: bool) -> None:
        """A process that has not the terminal to itself puts the run's title before each of its lines."""
        self._slot = {**slot, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
        self._has_terminal = has_terminal
        self._process: subprocess.Popen[str] | None = None
        self._relaying: threading.Thread | None = None
        self._title = ""

    def run(self, asked: dict[str, Any], title: str, should_stop: Callable[[], bool]) -> dict[str, Any]:
        """The state and the message of the run's end, and its summary; ask it once to stop if `should_stop`."""
        self._title = title
        process = self._process = self._process or self._start()
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):  # it died, and the answer says so
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
        message = f"its process ended with status {process.returncode}; the same command goes on from there"
        return {"state": "CANCELLED" if asked_to_stop else "CRASHED", "message": message}

    def close(self) -> None:
        """End the process, which runs nothing now."""
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
    """Run the pipeline in a free process, as a flow run below the `parent`.

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
    """The process' side: runs the lines that come, and has a run cancelled in Prefect when the line says stop."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._busy = threading.Event()
        self._flow_run_id: UUID | None = None
        threading.Thread(target=copy_context().run, args=(self._read,), daemon=True).start()

    def run_all(self, answer: Callable[[str], object]) -> None:
        """Run and answer line by line until there are no more."""
        while line := self._lines.get():
            ended = _plain(self._run(json.loads(line)))
            self._flow_run_id = None
            self._busy.clear()
            answer(json.dumps(ended))

    def _read(self) -> None:
        """Hand the lines on. If they end while a run goes on, the sweep was killed, and so are its runs."""
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
            LOGGER.warning("Prefect was not told that this run is to stop (%s)", reason_of(error))
        os.kill(os.getpid(), signal.SIGTERM)

    def _run(self, asked: dict[str, Any]) -> State[RunSummary]:
        config, recipe = parse_config(asked["config"]), str(asked["recipe"])
        with get_client(sync_client=True) as client:
            # What Prefect itself does for a flow that is called within a flow of the same process.
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
    """Run what the lines of the input say until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    with local_session():
        _Child().run_all(lambda line: print(line, file=answers, flush=True))


if __name__ == "__main__":
    main()
