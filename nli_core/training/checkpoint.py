"""Checkpoints: everything that training needs to go on bit for bit.

    checkpoints/step-00001000/
        model.safetensors      weights
        optimizer.safetensors  AdamW's moments and step counts, and torch's random states
        position.json          where training stands (`Position`)

A checkpoint is written under another name, forced to the disk and renamed; only then is its predecessor deleted. The
learning rate needs no state of its own: it is a function of the step.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from nli_core import durable
from nli_core.model.classifier import Classifier
from nli_core.model.weights import save_tensors

_PREFIX = "step-"
_PARTIAL = ".partial"
_RANDOM = "random."


@dataclass
class Position:
    """Where training stands, after `step` optimiser steps."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_epoch: int | None = None
    best_dev: dict[str, float] = field(default_factory=dict)
    history_rows: int = 0
    window: dict[str, float] = field(default_factory=dict)
    finished: bool = False


def save_checkpoint(folder: Path, model: Classifier, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Add a checkpoint to `folder` and delete the older ones."""
    final = folder / f"{_PREFIX}{position.step:08d}"
    partial = final.with_name(final.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_tensors(
        {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()},
        partial / "model.safetensors",
    )
    save_tensors({**_optimizer_tensors(optimizer), **_random_tensors()}, partial / "optimizer.safetensors")
    (partial / "position.json").write_text(json.dumps(asdict(position), indent=1), encoding="utf-8")
    durable.sync_tree(partial)
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    durable.sync(folder)
    for older in folder.glob(f"{_PREFIX}*"):
        if older != final:
            shutil.rmtree(older)


def resume(folder: Path, model: Classifier, optimizer: torch.optim.Optimizer) -> Position:
    """Put model, optimiser and random states back to the newest checkpoint; a fresh `Position` if there is none."""
    found = sorted(path for path in folder.glob(f"{_PREFIX}*") if not path.name.endswith(_PARTIAL))
    if not found:
        return Position()
    newest = found[-1]
    model.load_state_dict(load_file(newest / "model.safetensors"))
    tensors = load_file(newest / "optimizer.safetensors")
    _restore_optimizer(optimizer, tensors)
    _restore_random(tensors)
    return Position(**json.loads((newest / "position.json").read_text(encoding="utf-8")))


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value.detach().cpu() for index, values in state.items() for name, value in values.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    described = optimizer.state_dict()
    for name, value in tensors.items():
        if not name.startswith(_RANDOM):
            index, kind = name.split(".", 1)
            described["state"].setdefault(int(index), {})[kind] = value
    optimizer.load_state_dict(described)


def _random_tensors() -> dict[str, Tensor]:
    states = {f"{_RANDOM}cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{_RANDOM}cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random(tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors[f"{_RANDOM}cpu"])
    if torch.cuda.is_available() and f"{_RANDOM}cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"{_RANDOM}cuda"])
