"""The ranks of a training on this machine, started by torchrun's launcher."""

import contextlib
import logging
import os
import signal
import uuid
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nli_core.errors import UserError
from nli_core.training.output import Job
from nli_core.training.processes.launch import RankProcesses
from nli_core.training.processes.link import run_rank
from nli_core.training.ranks import Ranks, backend


class Torchrun(RankProcesses):
    """One process for each device of this machine that takes part."""

    def __init__(self, job: Job, ranks: int) -> None:
        super().__init__()
        pipes = [get_context("spawn").Pipe() for _ in range(ranks)]
        self.pipes = [ours for ours, _theirs in pipes]
        self._job, self._theirs = job, [theirs for _ours, theirs in pipes]

    def run_ranks(self) -> None:
        ranks = len(self.pipes)
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
        resource_tracker.ensure_running()  # which unblocks the signal, if it starts with the first rank
        # The ranks inherit this thread's mask: Ctrl-C is for the caller, which stops all ranks at a checkpoint.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            elastic_launch(config, _run_rank)(self._job, self._theirs, threads)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            status = f"by {signal.Signals(-failure.exitcode).name}" if failure.exitcode < 0 else "from outside"
            raise UserError(
                f"finetune: the process of device {rank} of {ranks} was killed {status}; see whether memory ran out, "
                "then rerun to resume"
            ) from None

    def kill(self) -> None:
        for pid in self.pids.values():  # a suspended rank does not notice that its pipe ends
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _run_rank(job: Job, pipes: list["Connection[Any, Any]"], threads: int) -> None:
    """Be one rank, in a process of the launcher's."""
    os.setsid()  # what is sent to the caller's group is for the caller too
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))

    def begin() -> None:
        gpus = torch.cuda.is_available()
        if gpus:
            torch.cuda.set_device(local)
        else:
            torch.set_num_threads(threads)
        distributed.init_process_group(backend(gpus=gpus), rank=rank, world_size=size)

    run_rank(lambda: job, Ranks(rank, size), pipes[local], begin)
