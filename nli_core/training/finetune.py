"""The finetune stage: train an encoder and a new head on packed examples, on one device or on several."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nli_core.callbacks import TrainingCallbacks
from nli_core.config import FinetuneConfig
from nli_core.errors import UserError
from nli_core.malloc import keep_freed_memory
from nli_core.training.output import Job
from nli_core.training.ranks import Ranks
from nli_core.training.trainer import train

if TYPE_CHECKING:
    from nli_core.training.processes.launch import Cluster, RankProcesses


def finetune(
    shards: Path,
    encoder: Path,
    config: FinetuneConfig,
    *,
    out: Path,
    callbacks: TrainingCallbacks | None = None,
    cluster: "Cluster | None" = None,
) -> dict[str, Any]:
    """Fine-tune `encoder` on the train shards; leave the best epoch by dev in `out/model`, and the last checkpoint.

    Resumes from the newest checkpoint in `out`, if there is one, whatever number of devices wrote it. The same config
    on the same devices gives the same weights, interrupted or not. The devices are this machine's, or the cluster's.
    Returns the facts.

    Raises:
        UserError: the encoder's files do not fit together, or a batch is larger than train or than the memory. Or
            there are not as many devices as named. Or a loss or gradient became NaN or infinite; no checkpoint has the
            weights after that.
        StoppedError: `callbacks` asked for it; the last checkpoint is where training ended.
    """
    job, callbacks = Job(shards, encoder, config, out), callbacks or TrainingCallbacks()
    devices = _devices(config, cluster.gpus if cluster else torch.cuda.device_count())
    if devices > 1:
        from nli_core.training.processes.launch import launch

        return launch(cluster.ranks(job, devices) if cluster else _here(job, devices), callbacks)
    with keep_freed_memory():
        return train(job, Ranks(), callbacks)


def _here(job: Job, devices: int) -> "RankProcesses":
    from nli_core.training.processes.torchrun import Torchrun  # torch's launcher takes a second to import

    return Torchrun(job, devices)


def _devices(config: FinetuneConfig, gpus: int) -> int:
    """Count the devices to use, where there are so many GPUs.

    Raises:
        UserError: there are fewer GPUs than named, or fewer examples in a batch than devices.
    """
    if config.devices is None:
        return max(1, min(gpus, config.batch_size))
    if gpus and config.devices > gpus:
        raise UserError(f"finetune.devices: {config.devices} are named, and {gpus} GPUs may be used; lower it")
    if config.devices > config.batch_size:
        raise UserError(
            f"finetune.devices: {config.devices} cannot share a batch of {config.batch_size}; lower it, or raise "
            "finetune.batch_size"
        )
    return config.devices
