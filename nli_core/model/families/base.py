"""What a family of encoders says of itself, in one file beside this one. `registry` lists the files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import nn

from nli_core.model.architecture import Architecture, ModelConfig
from nli_core.model.encoder import Encoder
from nli_core.model.initialization import init_linear

A = TypeVar("A", bound=Architecture)
Names = Mapping[str, tuple[str, ...]]
"""Our names of parameters, without `.weight` and `.bias`, and the names on disk that each of them stacks."""


@dataclass(frozen=True, kw_only=True)
class Family(Generic[A]):
    """How the encoders of a family are read, built, and named on disk.

    read: from `config.json` to sizes and constants; it refuses what the encoder does not do.
    build: from these to an encoder, whose weights are loaded afterwards.
    names: of the tensors in transformers' class for classification, of which the others are parts.
    prefix: what begins an encoder's names there; a pretrained encoder's may lack it.
    layers: what begins the names of its layers, after the prefix.
    pooler: the names that a pretrained encoder may lack altogether; they then start from scratch.
    head: the name of the head's last linear layer.
    classifier: the name of that class; None if transformers has none.
    init_linear: initializes a new linear layer over the encoder.
    init: initializes an encoder that is not pretrained; None: it is.
    """

    read: Callable[[ModelConfig], A]
    build: Callable[[A], Encoder]
    names: Callable[[A], Names]
    prefix: str
    layers: str
    pooler: tuple[str, ...]
    head: str
    classifier: str | None = None
    init_linear: Callable[[nn.Linear], None] = init_linear
    init: Callable[[Encoder], None] | None = None
