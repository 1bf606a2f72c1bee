"""What a family of encoders says of itself, in one file beside this one. `registry` lists the files.

A family imports torch only to build or initialize an encoder: the stage pack reads architectures without it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from nli_core.model.architecture import Architecture, ModelConfig, PostNormArchitecture, PreNormArchitecture
from nli_core.model.initialization import init_linear

if TYPE_CHECKING:
    from torch import nn

    from nli_core.model.encoder import Encoder

A = TypeVar("A", bound=Architecture)


@dataclass(frozen=True, kw_only=True)
class DiskNames:
    """The names of tensors on disk, without `.weight` and `.bias`, as transformers' class for classification has them.

    parameters: our names, and those that each of them stacks.
    prefix: what begins an encoder's names; the files of a pretrained encoder may lack it.
    layers: what begins the names of its layers, after the prefix.
    pooler: those that a pretrained encoder may lack altogether; they then start from scratch.
    head: that of the last linear layer.
    """

    parameters: Mapping[str, tuple[str, ...]]
    prefix: str
    layers: str
    pooler: tuple[str, ...]
    head: str


@dataclass(frozen=True, kw_only=True)
class Family(Generic[A]):
    """How the encoders of a family are read, built, and named on disk.

    read: from `config.json` to sizes and constants; it refuses what the encoder does not do.
    build: from these to an encoder, whose weights are loaded afterwards.
    classifier: the name of transformers' class for classification; None: it has none.
    init_linear: initializes a new linear layer over the encoder.
    init: initializes an encoder that is not pretrained; None: it is.
    note: what to know before a training, if anything.
    """

    read: Callable[[ModelConfig], A]
    build: "Callable[[A], Encoder]"
    names: Callable[[A], DiskNames]
    classifier: str | None = None
    init_linear: "Callable[[nn.Linear], None]" = init_linear
    init: "Callable[[Encoder], None] | None" = None
    note: str | None = None


def build_post_norm(architecture: PostNormArchitecture) -> "Encoder":
    """Build a post-norm encoder."""
    from nli_core.model.post_norm import PostNormEncoder

    return PostNormEncoder(architecture)


def build_pre_norm(architecture: PreNormArchitecture) -> "Encoder":
    """Build a pre-norm encoder."""
    from nli_core.model.pre_norm import PreNormEncoder

    return PreNormEncoder(architecture)
