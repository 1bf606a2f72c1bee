"""Checkpoints: everything that training needs to resume bit for bit.

    checkpoints/step-00001000-epoch-0002/
        model.safetensors      weights
        optimizer.safetensors  AdamW's moments and step counts
        average.safetensors    the averaged weights, if the training keeps them
        position.json          how far training is (`Position`)
        history.jsonl          the training curves until there
        best/                  the exported model of the best epoch, until training is finished
        digests.json           SHA-256 of the files above

A checkpoint is written under another name, flushed to the disk and renamed; then its predecessor is deleted. The step
is the same before and after an epoch's end, and before and after dev is measured within one. So the name says these
too, and no checkpoint is ever replaced. The learning rate and the random numbers need no state of their own: they are
functions of the step.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from nli_core import atomic
from nli_core.filenames import HISTORY, MODEL
from nli_core.hashing import file_sha256, folder_digests
from nli_core.log import LOGGER
from nli_core.model.classifier import Classifier
from nli_core.model.weights import save_tensors
from nli_core.training.average import AveragedWeights
from nli_core.training.ranks import Ranks

_PREFIX = "step-"
_PARTIAL = ".partial"
_DIGESTS = "digests.json"
_FILES = {"model.safetensors", "optimizer.safetensors", "position.json", HISTORY}
_AVERAGE = "average.safetensors"
_BEST = "best"


@dataclass
class Position:
    """How far training is, after `step` optimiser steps."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    measured: int = 0  # the step of the last evaluation within an epoch
    best_epoch: float | None = None  # epochs done when dev was best
    best_dev: dict[str, float] = field(default_factory=dict)
    waited: int = 0  # evaluations since then
    window: dict[str, float] = field(default_factory=dict)
    finished: bool = False
    exported: dict[str, str] = field(default_factory=dict)  # digests of the files in `model`, once finished


def save_checkpoint(
    folder: Path,
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    average: AveragedWeights,
    position: Position,
    *,
    write_best: Callable[[Path], object] | None,
) -> None:
    """Add a checkpoint to `folder` and delete the older ones. `write_best` makes the folder of the best model."""
    measured = "-measured" if position.batch and position.measured == position.step else ""
    final = folder / f"{_PREFIX}{position.step:08d}-epoch-{position.epoch:04d}{measured}"
    if final.exists():  # training stopped where it resumed
        return
    partial = final.with_name(final.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_tensors(
        {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()},
        partial / "model.safetensors",
    )
    save_tensors(_optimizer_tensors(optimizer), partial / "optimizer.safetensors")
    if averages := average.tensors():
        save_tensors({name: tensor.cpu() for name, tensor in averages.items()}, partial / _AVERAGE)
    shutil.copyfile(folder.parent / HISTORY, partial / HISTORY)
    if write_best:
        write_best(partial / _BEST)
    (partial / "position.json").write_text(json.dumps(asdict(position), indent=1), encoding="utf-8")
    (partial / _DIGESTS).write_text(json.dumps(folder_digests(partial), indent=1), encoding="utf-8")
    atomic.sync_tree(partial)
    partial.rename(final)
    atomic.sync(folder)
    for older in folder.glob(f"{_PREFIX}*"):
        if older != final:
            shutil.rmtree(older)


def link_best(folder: Path, target: Path) -> None:
    """Have the best model of the newest checkpoint in `target` too, without another copy where the disk can do that."""
    atomic.link_tree(_checkpoints(folder)[0] / _BEST, target)


def _checkpoints(folder: Path) -> list[Path]:
    """List the complete checkpoints, newest first."""
    found = folder.glob(f"{_PREFIX}*")
    return sorted((path for path in found if not path.name.endswith(_PARTIAL)), reverse=True)


def newest_intact(folder: Path) -> Path | None:
    """Return the newest checkpoint. One that was altered since it was written is logged and deleted."""
    for newest in _checkpoints(folder):
        if fault := _damage(newest):
            LOGGER.warning("finetune: %s; training resumes before it", fault)
            shutil.rmtree(newest)
        else:
            return newest
    return None


def newest_unfinished(folder: Path) -> Path | None:
    """Return the newest checkpoint if the training is not finished there; it may be replaced at any time."""
    for newest in _checkpoints(folder)[:1]:
        position = json.loads((newest / "position.json").read_text(encoding="utf-8"))
        return None if position["finished"] else newest
    return None


def restore(
    checkpoint: Path | None,
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    average: AveragedWeights,
    ranks: Ranks,
) -> Position:
    """Put model, optimiser and averages of every rank back to rank 0's checkpoint; return the position there."""

    def read() -> tuple[dict[str, Any], list[dict[str, Tensor]]]:
        if ranks.rank > 0 or not checkpoint:  # it may be on another machine
            return {}, [{}, {}, {}]
        position = json.loads((checkpoint / "position.json").read_text(encoding="utf-8"))
        names = ("model.safetensors", "optimizer.safetensors", _AVERAGE)
        return position, [load_file(checkpoint / name) if (checkpoint / name).exists() else {} for name in names]

    position, tensors = ranks.together(read)
    if not (position := ranks.agree(position)):
        return Position()
    weights, moments, averages = map(ranks.agree_on_tensors, tensors)
    model.load_state_dict(weights)
    _restore_optimizer(optimizer, moments)
    average.restore(averages)
    position.setdefault("waited", position["epoch"] - (position["best_epoch"] or 0))  # it was not written once
    return Position(**position)


def _damage(checkpoint: Path) -> str | None:
    """Name the file that was altered since the checkpoint was written."""
    try:
        written = json.loads((checkpoint / _DIGESTS).read_text(encoding="utf-8"))
        if not written.keys() >= _FILES:
            return f"{checkpoint / _DIGESTS} was altered since it was written"
        for name, digest in written.items():
            if file_sha256(checkpoint / name) != digest:
                return f"{checkpoint / name} was altered since it was written"
        position = json.loads((checkpoint / "position.json").read_text(encoding="utf-8"))
        model = checkpoint.parent.parent / MODEL
        if position["finished"] and folder_digests(model) != position["exported"]:
            return f"{model} was altered since it was written"
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"{checkpoint / _DIGESTS} was altered since it was written"
    return None


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value.detach().cpu() for index, values in state.items() for name, value in values.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    described = optimizer.state_dict()
    for name, value in tensors.items():
        index, kind = name.split(".", 1)
        described["state"].setdefault(int(index), {})[kind] = value
    optimizer.load_state_dict(described)
