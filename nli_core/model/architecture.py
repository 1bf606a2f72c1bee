"""The shape of an encoder, as the `config.json` beside its weights describes it.

`model_type` names one of three families:

    bert         the original (Devlin et al., 2019), as the Hugging Face hub has it
    d2l_bert     Dive into Deep Learning's (15.8): embeddings are neither normalised nor dropped out
    transformer  AI-For-Beginners': moreover no token types; the average of all tokens is pooled, not the first one
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from nli_core.errors import UserError

Family = Literal["bert", "d2l_bert", "transformer"]
Activation = Literal["gelu", "gelu_new", "relu", "tanh"]
CONFIG_NAME = "config.json"


# From, to; what lies outside is a mistake, and would fill the memory or divide by nothing.
_SIZES = {
    "vocab_size": (1, 2**31),
    "hidden_size": (1, 2**16),
    "num_hidden_layers": (1, 1000),
    "num_attention_heads": (1, 1024),
    "head_size": (1, 2**16),
    "intermediate_size": (1, 2**18),
    "max_position_embeddings": (1, 2**20),
    "type_vocab_size": (0, 2**16),
    "pooled_size": (1, 2**16),
}
# Of the hub's BERTs these have defaults; the other families have others.
_CONSTANTS = ("hidden_act", "layer_norm_eps")
_RATES = {"layer_norm_eps": (0.0, 1.0), "hidden_dropout_prob": (0.0, 1.0), "attention_probs_dropout_prob": (0.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes and constants of a post-norm encoder with learned positions.

    Each head is `head_size` wide, `type_vocab_size` may be 0, and `pooled_size` is what the head of a classifier sees.
    """

    family: Family
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_size: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_act: Activation
    layer_norm_eps: float
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    pooled_size: int

    @property
    def normalises_embeddings(self) -> bool:
        """Whether a norm and dropout follow the sum of embeddings."""
        return self.family == "bert"

    @property
    def pools_average(self) -> bool:
        """Whether the average of all tokens is pooled, and not the first token."""
        return self.family == "transformer"

    @classmethod
    def from_folder(cls, folder: Path) -> "Architecture":
        """Read the `config.json` of an encoder's folder.

        Raises:
            UserError: it is missing, is of no known family, or asks for something that this encoder does not do.
        """
        return cls.from_values(read_description(folder), folder / CONFIG_NAME)

    @classmethod
    def from_values(cls, described: Mapping[str, Any], path: Path) -> "Architecture":
        """Validate the values of the `config.json` at `path`, as `from_folder` does."""
        family = described.get("model_type", "bert")
        if family not in get_args(Family):
            raise UserError(f"{path}: describes a {family}; only {', '.join(get_args(Family))} are supported")
        if described.get("position_embedding_type", "absolute") != "absolute":
            raise UserError(f"{path}: position_embedding_type must be absolute")
        activation = described.get("hidden_act", "gelu")
        if activation not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise UserError(f"{path}: hidden_act {activation!r} is unknown; known are {known}")
        _refuse_impossible(described, path)
        if lacking := [name for name in _CONSTANTS if family != "bert" and name not in described]:
            raise UserError(f"{path}: lacks {lacking[0]!r}")
        try:
            hidden, heads = described["hidden_size"], described["num_attention_heads"]
            if hidden % heads and "head_size" not in described:
                raise UserError(f"{path}: hidden_size {hidden} is not a multiple of num_attention_heads {heads}")
            return cls(
                family=family,
                vocab_size=described["vocab_size"],
                hidden_size=hidden,
                num_hidden_layers=described["num_hidden_layers"],
                num_attention_heads=heads,
                head_size=described.get("head_size", hidden // heads),
                intermediate_size=described["intermediate_size"],
                max_position_embeddings=described["max_position_embeddings"],
                type_vocab_size=described.get("type_vocab_size", 2),
                hidden_act=activation,
                layer_norm_eps=described.get("layer_norm_eps", 1e-12),
                hidden_dropout_prob=described.get("hidden_dropout_prob", 0.1),
                attention_probs_dropout_prob=described.get("attention_probs_dropout_prob", 0.1),
                pooled_size=described.get("pooled_size", hidden),
            )
        except KeyError as error:
            raise UserError(f"{path}: lacks {error}") from None


def _refuse_impossible(described: Mapping[str, Any], path: Path) -> None:
    for name, (least, most) in _SIZES.items():
        value = described.get(name, most)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise UserError(f"{path}: {name} must be a whole number from {least} to {most:,}, and is {value!r}")
    for name, (above, below) in _RATES.items():
        value = described.get(name, 0.1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not above <= value < below:
            raise UserError(f"{path}: {name} must be a number from {above:g} to below {below:g}, and is {value!r}")


def read_description(folder: Path) -> dict[str, Any]:
    """Read the `config.json` of a model's folder.

    Raises:
        UserError: it is missing, or is not a JSON object.
    """
    path = folder / CONFIG_NAME
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); is {folder} the folder of a model?") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(described, dict):
        raise UserError(f"{path}: is not a JSON object")
    return described
