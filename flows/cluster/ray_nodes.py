"""The processes of trials on the nodes of a Ray cluster, which `NLI_RAY` names.

Each is a Ray task with a GPU, or with a part of a node's cores. Ray runs it once: a task of a node that died is the
sweep's to run again. A task that Ray ends takes its process along, whose input ends.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any
from uuid import UUID

from prefect.settings import PREFECT_API_URL

from flows.cluster.node import fault_of_node, project_version, run_trial
from nli_core.errors import UserError, reason_of
from tasks.settings import RAY, REMOTE, TRACKING, Settings
from tasks.tracking.database import sqlite_path

_POLL_SECONDS = 0.5
_LOOK_SECONDS = 120


class RayProcess:
    """A process that runs a flow run on a node."""

    def __init__(self, ray: Any, task: Any, run_id: UUID, version: dict[str, str]) -> None:
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
    for variable in ("RAY_DEDUP_LOGS", "RAY_COLOR_PREFIX"):  # lines of progress look alike
        os.environ.setdefault(variable, "0")
    try:
        ray: Any = import_module("ray")
    except ImportError:
        raise UserError(f"{RAY}: Ray is not installed; pip install -c constraints.txt -e '.[ray]'") from None
    if sqlite_path(settings):
        raise UserError(f"{RAY}: nodes do not reach the file of MLflow's database; set {TRACKING} to a server")
    environment = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), TRACKING: settings.tracking_uri}
    environment |= {REMOTE: settings.remote} if settings.remote else {}
    try:
        ray.init(settings.ray, runtime_env={"env_vars": environment}, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(f"{RAY}: no cluster at {settings.ray} ({reason_of(error)}); start one, or unset it") from None
    try:
        version = project_version()
        nodes = [node for node in ray.nodes() if node["Alive"]]
        _look(ray, nodes, version)
        gpus = sum(int(node["Resources"].get("GPU", 0)) for node in nodes)
        count = jobs or gpus or len(nodes)
        options = {"max_retries": 0, "scheduling_strategy": "SPREAD", **_resources(nodes, gpus, count)}
        task = ray.remote(run_trial).options(**options)
        yield [partial(_process, ray, task, version)] * count
    finally:
        ray.shutdown()


@contextmanager
def _process(ray: Any, task: Any, version: dict[str, str], run_id: UUID, title: str | None) -> Iterator[RayProcess]:
    process = RayProcess(ray, task, run_id, version)  # Ray itself prefixes its lines
    try:
        yield process
    except BaseException:
        process.kill()
        raise


def _look(ray: Any, nodes: list[dict[str, Any]], version: dict[str, str]) -> None:
    strategies = import_module("ray.util.scheduling_strategies")
    looks = [
        ray.remote(fault_of_node)
        .options(num_cpus=0, scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(version)
        for node in nodes
    ]
    try:
        faults = [fault for fault in ray.get(looks, timeout=_LOOK_SECONDS) if fault]
    except ray.exceptions.RayError as error:
        raise UserError(f"{RAY}: a node has not this project, or does not answer ({reason_of(error)})") from None
    if faults:
        raise UserError(f"{RAY}: {faults[0]}")


def _resources(nodes: list[dict[str, Any]], gpus: int, count: int) -> dict[str, float]:
    """Return what one of `count` concurrent runs takes of a node."""
    if gpus:
        return {"num_gpus": 1 / math.ceil(count / gpus)}
    cores = min(int(node["Resources"].get("CPU", 1)) for node in nodes)
    return {"num_cpus": max(1, cores // math.ceil(count / len(nodes)))}
