"""Weights on disk in Hugging Face's names, and their way into and out of our modules.

A parameter of ours may stack several tensors on disk, such as query, key and value. A family says which.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nli_core.errors import UserError
from nli_core.model.architecture import Architecture
from nli_core.model.classifier import Classifier
from nli_core.model.encoder import Encoder
from nli_core.model.families.base import DiskNames
from nli_core.model.families.registry import build_encoder, family_of, read_architecture

WEIGHTS_NAME = "model.safetensors"
_PICKLED_NAME = "pytorch_model.bin"
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class LoadReport:
    """Names of tensors on disk that the encoder has no use for, and of those that it had to begin from scratch.

    surplus: the unused ones that look like layers.
    """

    unused: list[str]
    fresh: list[str]
    surplus: list[str]


def load_encoder(folder: Path) -> tuple[Encoder, LoadReport]:
    """Load the encoder in a folder of the Hugging Face layout. A missing pooler starts from scratch.

    So does the whole of an encoder that is not pretrained.

    Raises:
        UserError: a file is damaged, or a tensor is missing, of another shape than `config.json` implies, or NaN.
    """
    architecture = read_architecture(folder)
    family = family_of(architecture)
    if family.init is not None:
        encoder = build_encoder(architecture)
        family.init(encoder)
        return encoder, LoadReport([], [name for name, _ in encoder.named_parameters()], [])
    check_shapes(folder, architecture)
    encoder = build_encoder(architecture)
    names = family.names(architecture)
    tensors = _read_tensors(folder, names.prefix)
    pooler = {parts[0]: parameter for parameter, parts, _ in _parameters(encoder) if _is_pooler(parts[0], names)}
    fresh = [] if tensors.keys() & pooler.keys() else list(pooler)
    if fresh:
        for name, module in encoder.named_modules():
            if isinstance(module, nn.Linear) and names.parameters.get(name, ("",))[0] in names.pooler:
                family.init_linear(module)
        tensors |= pooler
    unused = _fill(encoder, tensors, folder)
    return encoder, LoadReport(unused, fresh, [name for name in unused if name.startswith(names.layers)])


def check_shapes(folder: Path, architecture: Architecture) -> None:
    """Compare the sizes of `config.json` with the weights file, before memory is taken for either.

    Raises:
        UserError: a tensor is missing, or has another shape than the architecture implies.
    """
    names = family_of(architecture).names(architecture)
    shapes = _read_shapes(folder, names.prefix)
    with torch.device("meta"), _NoDraws():
        encoder = build_encoder(architecture)
    for _, parts, expected in _parameters(encoder):
        for part in parts:
            if part in shapes:
                _check_shape(part, shapes[part], expected, folder)
            elif not _is_pooler(part, names):  # which may be missing
                raise _missing(part, folder)


class _NoDraws(TorchFunctionMode):
    """Draw no normal numbers: on the device `meta` they have no values, and need torch's compiler to be imported."""

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        return options["tensor"] if function is nn.init.normal_ else function(*arguments, **options)


def fill_classifier(model: Classifier, folder: Path) -> None:
    """Copy the weights in `folder`, encoder and head, into the model.

    Raises:
        UserError: as `load_encoder`, or the head is missing.
    """
    names = _names(model.encoder)
    tensors = _read_tensors(folder, names.prefix)
    with torch.no_grad():
        for name, parameter in model.head.named_parameters():
            parameter.copy_(_take(tensors, f"{names.head}.{name}", parameter.shape, folder))
    _fill(model.encoder, tensors, folder)


def classifier_tensors(model: Classifier) -> dict[str, Tensor]:
    """Return all weights of the model on the CPU, under the names of transformers' class for its family."""
    tensors: dict[str, Tensor] = {}
    names = _names(model.encoder)
    for name, parameter in model.encoder.named_parameters():
        theirs = names.parameters[_stem(name)]
        for part, values in zip(theirs, parameter.detach().cpu().chunk(len(theirs)), strict=True):
            tensors[f"{part}.{_kind(name)}"] = values.contiguous()
    for name, parameter in model.head.named_parameters():
        tensors[f"{names.head}.{name}"] = parameter.detach().cpu().contiguous()
    return tensors


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file; equal tensors give equal bytes."""
    save_file(dict(sorted(tensors.items())), path, metadata={"format": "pt"})


def _read_tensors(folder: Path, prefix: str) -> dict[str, Tensor]:
    path = _weights_file(folder)
    with _damage_named(path):
        pickled = path.name == _PICKLED_NAME
        tensors = torch.load(path, map_location="cpu", weights_only=True) if pickled else load_file(path)
    return {_canonical(name, prefix): tensor for name, tensor in tensors.items()}


def _read_shapes(folder: Path, prefix: str) -> dict[str, torch.Size]:
    path = _weights_file(folder)
    with _damage_named(path):
        if path.name == _PICKLED_NAME:
            tensors = torch.load(path, map_location="meta", weights_only=True)
            return {_canonical(name, prefix): tensor.shape for name, tensor in tensors.items()}
        with safe_open(path, "pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # no mapping
        return {_canonical(name, prefix): torch.Size(shape) for name, shape in shapes.items()}


def _weights_file(folder: Path) -> Path:
    for name in (WEIGHTS_NAME, _PICKLED_NAME):
        if (folder / name).exists():
            return folder / name
    raise UserError(f"{folder}: has neither {WEIGHTS_NAME} nor {_PICKLED_NAME}")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except UnpicklingError:
        # The reason that torch gives comes with the advice to trust the file.
        raise UserError(f"{path}: is damaged or holds more than tensors; fetch it again") from None
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read as weights ({error}); fetch it again") from None


def _canonical(name: str, prefix: str) -> str:
    """Remove the prefix that models with a head add; use torch's names of a norm instead of TensorFlow's."""
    return (
        name.removeprefix(prefix)
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias")
    )


def _fill(encoder: Encoder, tensors: Mapping[str, Tensor], folder: Path) -> list[str]:
    """Copy the tensors into the encoder; returns the names that were not needed."""
    used: set[str] = set()
    with torch.no_grad():
        for parameter, parts, shape in _parameters(encoder):
            parameter.copy_(torch.cat([_take(tensors, part, shape, folder) for part in parts]))
            used.update(parts)
    return sorted(set(tensors) - used)


def _parameters(encoder: Encoder) -> Iterator[tuple[Tensor, list[str], torch.Size]]:
    """Yield each parameter, the names on disk that it stacks, without prefix, and the shape that each of them has."""
    names = _names(encoder)
    for name, parameter in encoder.named_parameters():
        theirs = names.parameters[_stem(name)]
        parts = [f"{part}.{_kind(name)}".removeprefix(names.prefix) for part in theirs]
        yield parameter, parts, torch.Size([parameter.shape[0] // len(parts), *parameter.shape[1:]])


def _names(encoder: Encoder) -> DiskNames:
    names: DiskNames = family_of(encoder.architecture).names(encoder.architecture)
    return names


def _is_pooler(name: str, names: DiskNames) -> bool:
    """Return whether a tensor, whose name lacks the prefix, is of the pooler."""
    return _stem(name) in {part.removeprefix(names.prefix) for part in names.pooler}


def _stem(name: str) -> str:
    """Return the name of a parameter without `.weight` or `.bias`."""
    return name.rpartition(".")[0]


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _missing(name: str, folder: Path) -> UserError:
    return UserError(f"{folder}: the weights lack the tensor {name}; fetch them again, or correct config.json")


def _check_shape(name: str, shape: torch.Size, expected: torch.Size, folder: Path) -> None:
    if shape != expected:
        raise UserError(f"{folder}: the tensor {name} has shape {list(shape)}, config.json implies {list(expected)}")


def _take(tensors: Mapping[str, Tensor], name: str, shape: torch.Size, folder: Path) -> Tensor:
    if name not in tensors:
        raise _missing(name, folder)
    values = tensors[name]
    _check_shape(name, values.shape, shape, folder)
    if values.dtype not in _FLOATS:
        held = str(values.dtype).removeprefix("torch.")
        raise UserError(f"{folder}: the tensor {name} holds {held}, no floats of 16, 32 or 64 bits")
    if not bool(values.isfinite().all()):
        raise UserError(f"{folder}: the tensor {name} has NaN or infinite values; fetch the weights again")
    return values.float()
