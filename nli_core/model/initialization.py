"""The random weights of a training from scratch. Torch is imported where it is used: see `families.base`."""

import math
from typing import TYPE_CHECKING

from nli_core.model.architecture import PostNormArchitecture

if TYPE_CHECKING:
    from torch import nn

    from nli_core.model.encoder import Encoder

BERT_DEVIATION = 0.02  # of a normal distribution (Devlin et al., 2019)
_KERAS_EMBEDDING_LIMIT = 0.05


def init_linear(linear: "nn.Linear") -> None:
    """Initialize a new linear layer over an encoder as BERT's."""
    from torch.nn.init import normal_, zeros_

    normal_(linear.weight, std=BERT_DEVIATION)
    if linear.bias is not None:
        zeros_(linear.bias)


def init_linear_like_keras(linear: "nn.Linear") -> None:
    """Initialize a linear layer by Glorot's uniform distribution, as Keras does."""
    from torch.nn.init import xavier_uniform_, zeros_

    xavier_uniform_(linear.weight)
    zeros_(linear.bias)


def init_like_keras(encoder: "Encoder") -> None:
    """Initialize AI-For-Beginners' transformer with the defaults of Keras 2's layers.

    Keras 2 counts how many values flow in and out of a unit. It treats the kernels of its attention, [H, N, D] and
    [N, D, H], as those of convolutions. So they start smaller than a linear layer of their size would. (Keras 3.15
    counts otherwise.)
    """
    from torch import nn

    from nli_core.model.encoder import LayeredEncoder
    from nli_core.model.post_norm import PostNormLayer

    for module in encoder.modules():
        if isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -_KERAS_EMBEDDING_LIMIT, _KERAS_EMBEDDING_LIMIT)
        elif isinstance(module, nn.Linear):
            init_linear_like_keras(module)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    architecture = encoder.architecture
    assert isinstance(architecture, PostNormArchitecture)
    assert isinstance(encoder, LayeredEncoder)
    hidden, heads, width = architecture.hidden_size, architecture.num_attention_heads, architecture.head_size
    for layer in encoder.layers:
        assert isinstance(layer, PostNormLayer)
        _glorot_uniform(layer.query_key_value, fan_in=hidden * heads, fan_out=hidden * width)
        _glorot_uniform(layer.attention_output, fan_in=heads * width, fan_out=heads * hidden)


def _glorot_uniform(linear: "nn.Linear", *, fan_in: int, fan_out: int) -> None:
    from torch.nn.init import uniform_

    limit = math.sqrt(6 / (fan_in + fan_out))
    uniform_(linear.weight, -limit, limit)
