"""Weights on disk in Hugging Face's names, and their way into and out of our modules.

Our layers keep query, key and value in one matrix; on disk they are three.
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
from nli_core.model.initialization import init_like_keras, init_linear

WEIGHTS_NAME = "model.safetensors"
_PICKLED_NAME = "pytorch_model.bin"
_PREFIX = "bert."
_HEAD = "classifier"
_POOLER = "pooler.dense"
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _name_pairs(architecture: Architecture) -> dict[str, tuple[str, ...]]:
    """Map our parameter names, without `.weight` and `.bias`, to the names on disk that they stack."""
    pairs: dict[str, tuple[str, ...]] = {"embeddings.norm": ("embeddings.LayerNorm",), "pooler": (_POOLER,)}
    for ours in ("word", "position", "token_type"):
        pairs[f"embeddings.{ours}"] = (f"embeddings.{ours}_embeddings",)
    for index in range(architecture.num_hidden_layers):
        ours, theirs = f"layers.{index}", f"encoder.layer.{index}"
        attention = f"{theirs}.attention"
        pairs[f"{ours}.query_key_value"] = tuple(f"{attention}.self.{part}" for part in ("query", "key", "value"))
        pairs[f"{ours}.attention_output"] = (f"{attention}.output.dense",)
        pairs[f"{ours}.attention_norm"] = (f"{attention}.output.LayerNorm",)
        pairs[f"{ours}.inner"] = (f"{theirs}.intermediate.dense",)
        pairs[f"{ours}.output"] = (f"{theirs}.output.dense",)
        pairs[f"{ours}.output_norm"] = (f"{theirs}.output.LayerNorm",)
    return pairs


@dataclass(frozen=True)
class LoadReport:
    """Names of tensors on disk that the encoder has no use for, and of those that it had to begin from scratch."""

    unused: list[str]
    fresh: list[str]


def load_encoder(folder: Path) -> tuple[Encoder, LoadReport]:
    """Load the encoder in a folder of the Hugging Face layout. A missing pooler starts from scratch.

    So does the whole of a transformer, which is not pretrained.

    Raises:
        UserError: a file is damaged, or a tensor is missing, of another shape than `config.json` implies, or NaN.
    """
    architecture = Architecture.from_folder(folder)
    if architecture.family == "transformer":
        encoder = Encoder(architecture)
        init_like_keras(encoder)
        return encoder, LoadReport(unused=[], fresh=[name for name, _ in encoder.named_parameters()])
    check_shapes(folder, architecture)
    encoder = Encoder(architecture)
    tensors = _read_tensors(folder)
    fresh = [name for name in (f"{_POOLER}.weight", f"{_POOLER}.bias") if name not in tensors]
    if len(fresh) == 2:
        init_linear(encoder.pooler, encoder.architecture)
        tensors |= {f"{_POOLER}.{kind}": parameter for kind, parameter in encoder.pooler.named_parameters()}
    else:
        fresh = []
    return encoder, LoadReport(unused=_fill(encoder, tensors, folder), fresh=fresh)


def check_shapes(folder: Path, architecture: Architecture) -> None:
    """Compare the sizes of `config.json` with the weights file, before memory is taken for either.

    Raises:
        UserError: a tensor is missing, or has another shape than the architecture implies.
    """
    shapes = _read_shapes(folder)
    with torch.device("meta"), _NoDraws():
        encoder = Encoder(architecture)
    for _, parts, expected in _parameters(encoder):
        for part in parts:
            if part in shapes:
                _check_shape(part, shapes[part], expected, folder)
            elif not part.startswith(_POOLER):  # which may be missing
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
    tensors = _read_tensors(folder)
    with torch.no_grad():
        for name, parameter in model.head.named_parameters():
            parameter.copy_(_take(tensors, f"{_HEAD}.{name}", parameter.shape, folder))
    _fill(model.encoder, tensors, folder)


def classifier_tensors(model: Classifier) -> dict[str, Tensor]:
    """Return all weights of the model on the CPU, under the names of transformers' BertForSequenceClassification."""
    tensors: dict[str, Tensor] = {}
    pairs = _name_pairs(model.encoder.architecture)
    for name, parameter in model.encoder.named_parameters():
        stem, kind = name.rsplit(".", 1)
        theirs = pairs[stem]
        for part, values in zip(theirs, parameter.detach().cpu().chunk(len(theirs)), strict=True):
            tensors[f"{_PREFIX}{part}.{kind}"] = values.contiguous()
    for name, parameter in model.head.named_parameters():
        tensors[f"{_HEAD}.{name}"] = parameter.detach().cpu().contiguous()
    return tensors


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file; equal tensors give equal bytes."""
    save_file(dict(sorted(tensors.items())), path, metadata={"format": "pt"})


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = _weights_file(folder)
    with _damage_named(path):
        pickled = path.name == _PICKLED_NAME
        tensors = torch.load(path, map_location="cpu", weights_only=True) if pickled else load_file(path)
    return {_canonical(name): tensor for name, tensor in tensors.items()}


def _read_shapes(folder: Path) -> dict[str, torch.Size]:
    path = _weights_file(folder)
    with _damage_named(path):
        if path.name == _PICKLED_NAME:
            tensors = torch.load(path, map_location="meta", weights_only=True)
            return {_canonical(name): tensor.shape for name, tensor in tensors.items()}
        with safe_open(path, "pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # no mapping
        return {_canonical(name): torch.Size(shape) for name, shape in shapes.items()}


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


def _canonical(name: str) -> str:
    """Remove the prefix that models with a head add; use torch's names of a norm instead of TensorFlow's."""
    return (
        name.removeprefix(_PREFIX)
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
    """Yield each parameter, the names on disk that it stacks, and the shape that each of them has."""
    pairs = _name_pairs(encoder.architecture)
    for name, parameter in encoder.named_parameters():
        stem, kind = name.rsplit(".", 1)
        parts = [f"{part}.{kind}" for part in pairs[stem]]
        yield parameter, parts, torch.Size([parameter.shape[0] // len(parts), *parameter.shape[1:]])


def _missing(name: str, folder: Path) -> UserError:
    return UserError(f"{folder}: the weights lack the tensor {name}")


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
