"""The processes of trials on the nodes of a Ray cluster, which `NLI_RAY` names.

Each is a Ray task with a GPU, or with a part of a node's cores. Ray runs it once: a task of a node that died is the
sweep's to run again. A task that Ray ends takes its process along, whose input ends.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from prefect.settings import PREFECT_API_URL

from flows.cluster.node import fault_for_trials, run_trial
from nli_core.errors import UserError
from tasks.cluster.connection import connected
from tasks.cluster.node import Version
from tasks.settings import RAY, TRACKING, Settings
from tasks.tracking.database import sqlite_path

_POLL_SECONDS = 0.5


class RayProcess:
    """A process that runs a flow run on a node."""

    def __init__(self, ray: Any, task: Any, run_id: UUID, version: Version) -> None:
        self._ray, self._future = ray, task.remote(str(run_id), version)
        self._fate = "its node died"

    def has_ended(self) -> bool:
        """Wait a moment; return whether it has ended."""
        if not self._ray.wait([self._future], timeout=_POLL_SECONDS)[0]:
            return False
        try:
            ended = self._ray.get(self._future)
        except self._ray.exceptions.RayError as error:
            self._fate = f"its node or task died ({type(error).__name__})"
        else:
            self._fate = ended if isinstance(ended, str) else f"its process ended with status {ended}"
        return True

    def stop(self) -> None:
        """Stop it now: without Prefect, a node is not reached in a kinder way."""
        self.kill()

    def kill(self) -> None:
        """End it now."""
        self._ray.cancel(self._future, force=True)

    @property
    def fate(self) -> str:
        """How it ended, in words."""
        return self._fate


@contextmanager
def ray_nodes(settings: Settings, jobs: int | None) -> Iterator[list[Any]]:
    """Connect to the cluster, look at each node, and yield a `Start` for each concurrent run.

    By default there is one concurrent run per GPU of the cluster; without GPUs, one per node.

    Raises:
        UserError: Ray is not installed, the cluster does not answer, or a node is unfit.
    """
    if sqlite_path(settings):
        raise UserError(f"{RAY}: nodes do not reach the file of MLflow's database; set {TRACKING} to a server")
    environment = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), TRACKING: settings.tracking_uri}
    with connected(settings, environment, lines=True) as cluster:
        cluster.look(fault_for_trials)
        gpus = cluster.gpus
        count = jobs or gpus or len(cluster.nodes)
        resources = {"num_gpus": 1 / math.ceil(count / gpus)} if gpus else {"num_cpus": cluster.cores(count)}
        ray = cluster.ray
        task = ray.remote(run_trial).options(max_retries=0, scheduling_strategy="SPREAD", **resources)
        yield [partial(_process, ray, task, cluster.version)] * count


@contextmanager
def _process(ray: Any, task: Any, version: Version, run_id: UUID, title: str | None) -> Iterator[RayProcess]:
    process = RayProcess(ray, task, run_id, version)  # Ray itself prefixes its lines
    try:
        yield process
    except BaseException:
        process.kill()
        raise
