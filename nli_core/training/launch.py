"""Start the ranks of a training on this machine by torchrun's launcher, and be their link to the caller.

    caller ── callbacks ── launch ══ a pipe for each rank ══ rank 0 (writes and reports), rank 1, ...

A rank whose pipe ends was left alone, since its caller was killed: it kills itself.
"""

import contextlib
import logging
import os
import signal
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.errors import UserError
from nli_core.log import LOGGER
from nli_core.malloc import keep_freed_memory
from nli_core.training.output import Job
from nli_core.training.ranks import OtherRankError, Ranks
from nli_core.training.trainer import train

_POLL_SECONDS = 0.1
_STOP = "stop"


@dataclass(frozen=True)
class _Ended:
    """How a rank ended: with the facts, or with an error."""

    facts: dict[str, Any] | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Call:
    """A callback that rank 0 asks for: it waits for the answer, None or an error."""

    name: str
    arguments: tuple[Any, ...]


def launch(job: Job, ranks: int, callbacks: TrainingCallbacks) -> dict[str, Any]:
    """Train on `ranks` devices of this machine; returns the facts.

    Raises:
        UserError, StoppedError: as `finetune`; or a rank was killed.
    """
    pipes = [get_context("spawn").Pipe() for _ in range(ranks)]
    ours = [ours for ours, _theirs in pipes]
    launcher = _Launcher(job, [theirs for _ours, theirs in pipes])
    launcher.start()
    pids: set[int] = set()
    try:
        ended = _serve(ours, callbacks, launcher, pids)
    except BaseException:
        for pid in pids:  # a suspended rank does not notice that its pipe ends
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise
    finally:
        for pipe in ours:  # ends ranks that still live
            pipe.close()
        launcher.join()
    errors = [error for rank in sorted(ended) if (error := ended[rank].error)]
    for error in errors:
        if not isinstance(error, StoppedError | OtherRankError):
            raise error
    if launcher.failure:
        raise launcher.failure
    for error in errors:
        raise error
    facts = ended[0].facts
    assert facts
    return facts


class _Launcher(threading.Thread):
    """Runs torchrun's launcher beside the caller's thread, so that signals stay the caller's."""

    def __init__(self, job: Job, pipes: list["Connection[Any, Any]"]) -> None:
        super().__init__(name="launcher")
        self._job, self._pipes = job, pipes
        self.failure: Exception | None = None

    def run(self) -> None:
        ranks = len(self._pipes)
        for name in ("torch.distributed.elastic", "torch.multiprocessing.spawn"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # `launch` reports what fails
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=ranks,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
        )
        threads = max(1, torch.get_num_threads() // ranks)
        # The ranks inherit this thread's mask: Ctrl-C is for the caller, which stops all ranks at a checkpoint.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            elastic_launch(config, _run_rank)(self._job, self._pipes, threads)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            status = f"by {signal.Signals(-failure.exitcode).name}" if failure.exitcode < 0 else "from outside"
            self.failure = UserError(
                f"finetune: the process of device {rank} of {ranks} was killed {status}; see whether memory ran out, "
                "then rerun to resume"
            )
        except Exception as error:  # raised by `launch`
            self.failure = error


def _serve(
    pipes: list["Connection[Any, Any]"], callbacks: TrainingCallbacks, launcher: _Launcher, pids: set[int]
) -> dict[int, _Ended]:
    """Answer the ranks until they have ended; return how each did, if it said so. Their process ids go to `pids`."""
    ended: dict[int, _Ended] = {}
    asked = False
    while True:
        over = not launcher.is_alive()
        for pipe in wait(pipes, 0 if over else _POLL_SECONDS):
            assert isinstance(pipe, Connection)
            message = pipe.recv()
            if isinstance(message, _Ended):
                ended[pipes.index(pipe)] = message
            elif isinstance(message, int):
                pids.add(message)
            else:
                pipe.send(_answer(message, callbacks))
        if over:
            return ended
        if not asked and callbacks.should_stop():
            asked = True
            for pipe in pipes:
                with contextlib.suppress(OSError):  # that rank has ended
                    pipe.send(_STOP)


def _answer(call: _Call, callbacks: TrainingCallbacks) -> Exception | None:
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


class _Link(logging.Handler):
    """A rank's side of its pipe."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        super().__init__()
        self._pipe = pipe
        self._answers: SimpleQueue[Exception | None] = SimpleQueue()
        self._asked = threading.Event()
        pipe.send(os.getpid())
        threading.Thread(target=self._read, daemon=True).start()

    def callbacks(self, rank: int) -> TrainingCallbacks:
        """Return callbacks that the caller's process answers; ranks after the first only learn whether to stop."""
        if rank > 0:
            return TrainingCallbacks(should_stop=self._asked.is_set)
        return TrainingCallbacks(
            log_metrics=lambda metrics, step: self._call("log_metrics", dict(metrics), step),
            progress=lambda done, total, note: self._call("progress", done, total, note),
            before_checkpoint=lambda: self._call("before_checkpoint"),
            should_stop=self._asked.is_set,
        )

    def emit(self, record: logging.LogRecord) -> None:
        self._call("log", record.levelno, "%s", record.getMessage())

    def end(self, ended: _Ended) -> None:
        """Say how this rank ended."""
        self._pipe.send(ended)

    def _call(self, name: str, *arguments: Any) -> None:
        self._pipe.send(_Call(name, arguments))
        if error := self._answers.get():
            raise error

    def _read(self) -> None:
        try:
            while True:
                message = self._pipe.recv()
                if message == _STOP:
                    self._asked.set()
                else:
                    self._answers.put(message)
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGKILL)


def _run_rank(job: Job, pipes: list["Connection[Any, Any]"], threads: int) -> None:
    """Be one rank, in a process of the launcher's."""
    os.setsid()  # what is sent to the caller's group is for the caller too
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    link = _Link(pipes[local])
    try:
        facts = _train(job, Ranks(rank, size), local, threads, link)
    except (StoppedError, OtherRankError) as error:
        link.end(_Ended(error=error))
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note(f"in rank {rank}:\n{traceback.format_exc()}")
        link.end(_Ended(error=error))
        raise SystemExit(1) from None  # the launcher ends the others
    else:
        link.end(_Ended(facts))


def _train(job: Job, ranks: Ranks, local: int, threads: int, link: _Link) -> dict[str, Any]:
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    else:
        torch.set_num_threads(threads)
        backend = "gloo"
    if ranks.rank == 0:
        LOGGER.addHandler(link)
        LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    distributed.init_process_group(backend, rank=ranks.rank, world_size=ranks.size)
    with keep_freed_memory():
        return train(job, ranks, link.callbacks(ranks.rank))
