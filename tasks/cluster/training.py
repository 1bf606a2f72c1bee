"""One training over the nodes of a Ray cluster: a rank for each GPU, or for each device that the config names.

Rank 0 runs on this node, and writes here. The other nodes have the inputs in their own stores, or pull them from the
bucket. Ray places the processes once there is room for all, and ends them together.
"""

import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import Any

from nli_core.callbacks import no_progress
from nli_core.config import OutputKind
from nli_core.errors import UserError, reason_of
from nli_core.filenames import ENCODER
from nli_core.log import LOGGER
from nli_core.run.plan import StageRequest
from nli_core.store.manifest import KeyInputs, Output
from nli_core.training.output import Job
from nli_core.training.processes.launch import RankProcesses
from nli_core.training.processes.link import run_rank
from nli_core.training.ranks import Ranks, backend
from tasks.cluster.connection import CLIENT, RayCluster, check_place, connected
from tasks.cluster.node import fault_of_node, named
from tasks.runtime.sharing import remote_outputs
from tasks.settings import REMOTE, Settings


@dataclass(frozen=True)
class _NodeJob:
    """A rank's job as another node finds it: its inputs by their keys. `home` is the node where `job` has its files."""

    job: Job
    home: str
    pack: KeyInputs
    encoder: KeyInputs
    address: tuple[str, int]
    password: bytes
    threads: int | None


class RayTraining:
    """A cluster whose nodes train one model together."""

    def __init__(self, cluster: RayCluster, upstream: dict[OutputKind, Output]) -> None:
        """`upstream` has what the training reads."""
        self.gpus = cluster.gpus
        self._cluster, self._upstream = cluster, upstream

    def ranks(self, job: Job, devices: int) -> RankProcesses:
        """Return the processes of the ranks. Rank 0 will be on this node.

        Raises:
            UserError: a node is unfit, or there are fewer cores than devices.
        """
        if not self.gpus and devices > (cores := self._cluster.all_cores):
            raise UserError(f"finetune.devices: {devices} are named, and the cluster has {cores} cores; lower it")
        self._cluster.look(fault_of_node)
        pack, encoder = (self._upstream[kind].manifest.key_inputs for kind in ("pack", "encoder"))
        return _RayRanks(self._cluster, job, devices, pack, encoder)


@contextmanager
def training_cluster(settings: Settings, request: StageRequest) -> Iterator[RayTraining | None]:
    """Connect with the cluster that this machine is a node of; yield None where `NLI_RAY` names none.

    Raises:
        UserError: the cluster does not answer; or several devices are named, and this machine is no node.
    """
    check_place(settings, request.config.finetune.devices)
    if settings.ray is None or settings.ray.startswith(CLIENT):
        yield None
        return
    with connected(settings, {}, lines=False) as cluster:
        yield RayTraining(cluster, request.upstream)


class _RayRanks(RankProcesses):
    """One process for each device of the nodes that takes part."""

    def __init__(self, cluster: RayCluster, job: Job, devices: int, pack: KeyInputs, encoder: KeyInputs) -> None:
        super().__init__()
        self._cluster, self._devices = cluster, devices
        self._home = cluster.ray.get_runtime_context().get_node_id()
        address = next(node["NodeManagerAddress"] for node in cluster.nodes if node["NodeID"] == self._home)
        self._listener = Listener((address, 0), authkey=(password := secrets.token_bytes(32)))
        threads = None if cluster.gpus else cluster.cores(devices)
        self._job = _NodeJob(job, self._home, pack, encoder, self._listener.address, password, threads)
        self._over = threading.Event()

    def run_ranks(self) -> None:
        accepting = threading.Thread(target=self._accept, name="ranks' links", daemon=True)
        accepting.start()
        try:
            with tempfile.TemporaryDirectory() as scratch:
                self._fit(scratch)
        finally:
            self._over.set()
            with suppress(OSError):
                socket.create_connection(self._listener.address).close()  # ends the last `accept`
            accepting.join()
            self._listener.close()

    def kill(self) -> None:
        self._cluster.ray.shutdown()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(OSError, EOFError, AuthenticationError):  # of whoever is no rank
                self.pipes.append(self._listener.accept())

    def _fit(self, scratch: str) -> None:
        train, torch_train = import_module("ray.train"), import_module("ray.train.torch")
        here = {"ray.io/node-id": self._home}
        resources = {"GPU": 1, "CPU": 1} if self._cluster.gpus else {"CPU": self._job.threads}
        trainer = torch_train.TorchTrainer(
            _run_rank,
            train_loop_config={"described": self._job},
            torch_config=torch_train.TorchConfig(backend=backend(gpus=self._cluster.gpus > 0)),
            scaling_config=train.ScalingConfig(
                num_workers=self._devices,
                use_gpu=self._cluster.gpus > 0,
                resources_per_worker=resources,
                label_selector=[here, *({} for _ in range(1, self._devices))],
            ),
            run_config=train.RunConfig(storage_path=scratch),
        )
        LOGGER.info("finetune: starts on %d devices of the cluster, once they are free", self._devices)
        try:
            trainer.fit()
        except train.TrainingFailedError as error:
            failures = getattr(error, "worker_failures", {})
            which = f"the process of device {min(failures)} of {self._devices}" if failures else "Ray"
            raise UserError(
                f"finetune: {which} failed ({reason_of(next(iter(failures.values()), error))}); see whether its node "
                "died or memory ran out, then rerun to resume"
            ) from None


def _run_rank(config: dict[str, Any]) -> None:
    """Be one rank, in a process of Ray's on some node."""
    import torch

    described: _NodeJob = config["described"]
    ray, context = import_module("ray"), import_module("ray.train").get_context()
    local = context.get_local_rank()

    def begin() -> None:
        if described.threads is None:
            torch.cuda.set_device(local)
        else:
            torch.set_num_threads(described.threads)

    def describe() -> Job:
        is_home = ray.get_runtime_context().get_node_id() == described.home
        return described.job if is_home else _found_here(described)

    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    with Client(described.address, authkey=described.password) as pipe:
        try:
            run_rank(describe, ranks, pipe, begin)
        except SystemExit:
            raise RuntimeError("this rank failed, as its caller knows") from None


def _found_here(described: _NodeJob) -> Job:
    """Find the inputs of a job in the store of this node, or bring them there from the bucket."""
    shards, encoder = _input("pack", described.pack), _input("encoder", described.encoder)
    return replace(described.job, shards=shards.folder, encoder=encoder.folder / ENCODER)


def _input(kind: OutputKind, inputs: KeyInputs) -> Output:
    settings = Settings.from_environment()
    remote = remote_outputs(settings)
    with settings.store.claim(kind, inputs) as claim:
        if claim.done:
            return claim.done
        manifest = remote.manifest(kind, claim.key) if remote else None
        if remote and manifest and remote.pull(manifest, claim.pulled, no_progress):
            return claim.adopt(manifest)
    raise UserError(
        named(f"has no output of {kind} in {settings.store.root}, nor in a bucket; set {REMOTE} to one for all nodes")
    )
