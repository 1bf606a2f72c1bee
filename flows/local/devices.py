"""Allocate devices to concurrent trials: what each finds in its environment."""

import os
from collections.abc import Mapping

from nli_core.errors import UserError
from tasks.settings import PARALLEL_TRAININGS, VISIBLE_DEVICES, visible_devices

DeviceSlot = Mapping[str, str]
"""The environment variables that keep a trial to its device and its share of the threads."""


def allocate_devices(jobs: int | None = None) -> list[DeviceSlot]:
    """Make one slot per concurrent trial: by default one per GPU, else one.

    More trials than devices share them. On a CPU each gets a part of the cores, and trainings do not wait for each
    other.

    Raises:
        UserError: `jobs` is below 1.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs: {jobs} is below 1; leave it out for one per GPU")
    gpus = _gpus()
    count = jobs or max(1, len(gpus))
    slots: list[DeviceSlot] = []
    for number in range(count):
        slot = {VISIBLE_DEVICES: gpus[number % len(gpus)]} if gpus else {}
        if count > max(1, len(gpus)):
            slot[PARALLEL_TRAININGS] = "1"
            if not gpus:
                slot["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // count))
        slots.append(slot)
    return slots


def _gpus() -> list[str]:
    """List the GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    count = torch.cuda.device_count()
    named = visible_devices()
    return named.split(",")[:count] if named else [str(number) for number in range(count)]
