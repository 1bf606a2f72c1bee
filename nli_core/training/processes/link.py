"""A rank's side of its link to the caller: what it reports, and whether it is to stop."""

import contextlib
import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.errors import UserError
from nli_core.log import LOGGER
from nli_core.malloc import keep_freed_memory
from nli_core.training.output import Job
from nli_core.training.ranks import OtherRankError, Ranks
from nli_core.training.trainer import train

STOP = "stop"


@dataclass(frozen=True)
class Started:
    """A rank's process has begun."""

    rank: int
    pid: int


@dataclass(frozen=True)
class Call:
    """A callback that rank 0 asks for: it waits for the answer, None or an error."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Ended:
    """How a rank ended: with the facts, or with an error."""

    rank: int
    facts: dict[str, Any] | None = None
    error: Exception | None = None


def run_rank(
    describe: Callable[[], Job], ranks: Ranks, pipe: "Connection[Any, Any]", begin: Callable[[], object]
) -> None:
    """Be one rank of the training that `describe` returns, once `begin` has connected it with the others.

    Raises:
        SystemExit: it failed by an error of its own, which the caller knows. The others are to be ended.
    """
    link = _Link(pipe, ranks.rank)
    with contextlib.ExitStack() as stack:
        if ranks.rank == 0:
            stack.callback(LOGGER.removeHandler, link)
            LOGGER.addHandler(link)
            LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False
        try:
            job = describe()
            begin()
            with keep_freed_memory():
                ended = Ended(ranks.rank, train(job, ranks, link.callbacks()))
        except (StoppedError, OtherRankError) as error:
            ended = Ended(ranks.rank, error=error)
        except Exception as error:
            if not isinstance(error, UserError):
                error.add_note(f"in rank {ranks.rank}:\n{traceback.format_exc()}")
            link.send(Ended(ranks.rank, error=error))
            raise SystemExit(1) from None
        link.send(ended)


class _Link(logging.Handler):
    """Takes lines of the log too. A rank whose link breaks was left alone by its caller: it kills itself."""

    def __init__(self, pipe: "Connection[Any, Any]", rank: int) -> None:
        super().__init__()
        self._pipe, self._rank = pipe, rank
        self._answers: SimpleQueue[Exception | None] = SimpleQueue()
        self._asked = threading.Event()
        pipe.send(Started(rank, os.getpid()))
        threading.Thread(target=self._read, daemon=True).start()

    def callbacks(self) -> TrainingCallbacks:
        """Return callbacks that the caller's process answers; ranks after the first only learn whether to stop."""
        if self._rank > 0:
            return TrainingCallbacks(should_stop=self._asked.is_set)
        return TrainingCallbacks(
            log_metrics=lambda metrics, step: self._call("log_metrics", dict(metrics), step),
            progress=lambda done, total, note: self._call("progress", done, total, note),
            before_checkpoint=lambda: self._call("before_checkpoint"),
            should_stop=self._asked.is_set,
        )

    def emit(self, record: logging.LogRecord) -> None:
        self._call("log", record.levelno, "%s", record.getMessage())

    def send(self, message: object) -> None:
        """Tell the caller, without an answer."""
        self._pipe.send(message)

    def _call(self, name: str, *arguments: Any) -> None:
        self._pipe.send(Call(name, arguments))
        if error := self._answers.get():
            raise error

    def _read(self) -> None:
        try:
            while True:
                message = self._pipe.recv()
                if message == STOP:
                    self._asked.set()
                else:
                    self._answers.put(message)
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGKILL)
