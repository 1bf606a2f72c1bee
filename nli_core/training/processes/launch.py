"""Train with several ranks, and be their link to the caller.

    caller ── callbacks ── launch ══ a pipe for each rank ══ rank 0 (writes and reports), rank 1, ...

A rank whose pipe ends was left alone, since its caller was killed: it kills itself.
"""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.log import LOGGER
from nli_core.training.output import Job
from nli_core.training.processes.link import STOP, Call, Ended, Started
from nli_core.training.ranks import OtherRankError

_POLL_SECONDS = 0.1


class RankProcesses(threading.Thread, ABC):
    """The processes of a training's ranks. It runs beside the caller's thread, so that signals stay the caller's."""

    def __init__(self) -> None:
        super().__init__(name="ranks")
        self.pipes: list[Connection[Any, Any]] = []  # grows while ranks start
        self.pids: dict[int, int] = {}  # by rank
        self.failure: Exception | None = None

    def run(self) -> None:
        """Start the ranks and wait until they have ended."""
        try:
            self.run_ranks()
        except Exception as error:  # raised by `launch`
            self.failure = error

    @abstractmethod
    def run_ranks(self) -> None:
        """Start the ranks and wait until they have ended.

        Raises:
            UserError: one was killed, or cannot start.
        """

    @abstractmethod
    def kill(self) -> None:
        """End all ranks now."""


class Cluster(Protocol):
    """Machines that train one model together."""

    gpus: int

    def ranks(self, job: Job, devices: int) -> RankProcesses:
        """Return the processes that will share the training. Rank 0 writes on this machine."""


def launch(processes: RankProcesses, callbacks: TrainingCallbacks) -> dict[str, Any]:
    """Train with these processes; returns the facts.

    Raises:
        UserError, StoppedError: as `finetune`; or a rank was killed.
    """
    processes.start()
    try:
        ended = _serve(processes, callbacks)
    except BaseException:
        processes.kill()
        raise
    finally:
        for pipe in processes.pipes:  # ends ranks that still live
            pipe.close()
        processes.join()
    errors = [error for rank in sorted(ended) if (error := ended[rank].error)]
    for error in errors:
        if not isinstance(error, StoppedError | OtherRankError):
            raise error
    if processes.failure:
        raise processes.failure
    for error in errors:
        raise error
    facts = ended[0].facts
    assert facts
    return facts


def _serve(processes: RankProcesses, callbacks: TrainingCallbacks) -> dict[int, Ended]:
    """Answer the ranks until they have ended; return how each did, if it said so."""
    ended: dict[int, Ended] = {}
    asked: set[Connection[Any, Any]] = set()
    closed: set[Connection[Any, Any]] = set()
    while True:
        over = not processes.is_alive()
        open_pipes = [pipe for pipe in processes.pipes if pipe not in closed]
        ready = wait(open_pipes, 0 if over else _POLL_SECONDS)
        if over and not ready:
            return ended
        for pipe in ready:
            assert isinstance(pipe, Connection)
            try:
                message = pipe.recv()
            except (EOFError, OSError):  # that rank has ended
                closed.add(pipe)
                continue
            if isinstance(message, Ended):
                ended[message.rank] = message
            elif isinstance(message, Started):
                processes.pids[message.rank] = message.pid
            else:
                pipe.send(_answer(message, callbacks))
        if callbacks.should_stop():
            if not processes.pids:
                raise StoppedError("finetune: stopped before it began")
            for pipe in set(open_pipes) - asked:
                asked.add(pipe)
                with contextlib.suppress(OSError):  # that rank has ended
                    pipe.send(STOP)


def _answer(call: Call, callbacks: TrainingCallbacks) -> Exception | None:
    served: Mapping[str, Callable[..., object]] = {
        "log_metrics": callbacks.log_metrics,
        "progress": callbacks.progress,
        "before_checkpoint": callbacks.before_checkpoint,
        "log": LOGGER.log,
    }
    try:
        served[call.name](*call.arguments)
    except Exception as error:  # raised where it was called
        return error
    return None
