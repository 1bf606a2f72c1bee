"""Where the runs of a sweep compute: how many go on at once, and what each finds in its environment."""

import os
from collections.abc import Mapping

from nli_core.errors import UserError

Place = Mapping[str, str]


def places(at_once: int | None = None) -> list[Place]:
    """As many environments as runs are to go on at once: by default one a GPU, or one where there is none.

    More than there are devices share them: on a CPU each gets a part of the cores, and trainings do not wait for each
    other.

    Raises:
        UserError: `at_once` is below 1.
    """
    if at_once is not None and at_once < 1:
        raise UserError(f"at_once: {at_once} is below 1; leave it out for one run a GPU")
    gpus = _gpus()
    count = at_once or max(1, len(gpus))
    found: list[Place] = []
    for number in range(count):
        place = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
        if count > max(1, len(gpus)):
            place["NLI_PARALLEL_TRAININGS"] = "1"
            if not gpus:
                place["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // count))
        found.append(place)
    return found


def _gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]
