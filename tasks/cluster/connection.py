"""The connection with a Ray cluster, and a look at its nodes before work."""

import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from nli_core.errors import UserError, reason_of
from tasks.cluster.node import Version, project_version
from tasks.settings import RAY, REMOTE, Settings

_LOOK_SECONDS = 120
_TRIES = 3
_PORT, _PORT_SECONDS = 10001, 5
CLIENT = "ray://"  # begins the address of a cluster that this machine is no node of
_BUSY = "Initialization failure from server"


@dataclass(frozen=True)
class RayCluster:
    """A cluster that this process is connected with. `ray` is the module: there is no other handle."""

    ray: Any
    nodes: list[dict[str, Any]]
    version: Version

    @property
    def gpus(self) -> int:
        """How many GPUs the nodes have together."""
        return int(sum(node["Resources"].get("GPU", 0) for node in self.nodes))

    @property
    def all_cores(self) -> int:
        """How many cores the nodes have together."""
        return int(sum(node["Resources"].get("CPU", 0) for node in self.nodes))

    def cores(self, count: int) -> int:
        """Return how many cores of a node each of `count` concurrent processes gets, without GPUs."""
        cores = min(int(node["Resources"].get("CPU", 1)) for node in self.nodes)
        return max(1, cores // math.ceil(count / len(self.nodes)))

    def look(self, fault_of_node: Callable[[Version], str | None]) -> None:
        """Ask every node what makes it unfit for this version of the project.

        Raises:
            UserError: a node is unfit, or does not answer.
        """
        affinity = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        looks = [
            self.ray.remote(fault_of_node)
            .options(num_cpus=0, scheduling_strategy=affinity(node["NodeID"], soft=False))
            .remote(self.version)
            for node in self.nodes
        ]
        try:
            faults = [fault for fault in self.ray.get(looks, timeout=_LOOK_SECONDS) if fault]
        except self.ray.exceptions.RayError as error:
            raise UserError(f"{RAY}: a node has not this project, or does not answer ({reason_of(error)})") from None
        if faults:
            raise UserError(f"{RAY}: {faults[0]}")


@contextmanager
def connected(settings: Settings, environment: Mapping[str, str], *, lines: bool) -> Iterator[RayCluster]:
    """Be connected with the cluster of the settings; its processes get these variables, and `NLI_REMOTE`.

    `lines` shows here what they print.

    Raises:
        UserError: Ray is not installed, or the cluster does not answer.
    """
    # Lines of progress look alike; and the paths of settings may be relative to the working directory.
    for variable in ("RAY_DEDUP_LOGS", "RAY_COLOR_PREFIX", "RAY_CHDIR_TO_TRIAL_DIR"):
        os.environ.setdefault(variable, "0")
    try:
        ray: Any = import_module("ray")
    except ImportError:
        raise UserError(f"{RAY}: Ray is not installed; pip install -c constraints.txt -e '.[ray]'") from None
    variables = {**environment, **({REMOTE: settings.remote} if settings.remote else {})}
    options = {"runtime_env": {"env_vars": variables}, "logging_level": "ERROR", "log_to_driver": lines}
    try:
        _check_port(str(settings.ray))
        _connect(ray, settings.ray, options)
        _take_sigterm_back()
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(f"{RAY}: no cluster at {settings.ray} ({reason_of(error)}); start one, or unset it") from None
    try:
        yield RayCluster(ray, [node for node in ray.nodes() if node["Alive"]], project_version())
    finally:
        ray.shutdown()


def check_place(settings: Settings, devices: int | None) -> None:
    """Raise UserError if so many devices are named for a training, and this machine is no node of the cluster."""
    if settings.ray and settings.ray.startswith(CLIENT) and (devices or 1) > 1:
        raise UserError(
            f"{RAY}: a training with several devices starts on a node; set it to auto there, or unset it here"
        )


def _check_port(address: str) -> None:
    """Raise OSError or ValueError if nothing listens at an address; Ray itself would ask for minutes."""
    if address != "auto":
        place = urlsplit(address if "://" in address else f"//{address}")
        socket.create_connection((place.hostname or "", place.port or _PORT), timeout=_PORT_SECONDS).close()


def _take_sigterm_back() -> None:
    """Have SIGTERM reach Python's own handler; Ray's would abort the process three seconds later, whatever it saves."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _connect(ray: Any, address: str | None, options: Mapping[str, Any]) -> None:
    """Connect, and try again where a cluster answers that it could not start this client's server."""
    for tries_left in reversed(range(_TRIES)):
        try:
            with ThreadPoolExecutor(1) as pool:  # in the main thread, Ray would take SIGTERM
                pool.submit(ray.init, address, **options).result()
        except ConnectionError as error:
            if not tries_left or _BUSY not in str(error):
                raise
        else:
            return
