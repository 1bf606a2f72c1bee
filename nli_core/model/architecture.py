"""What every encoder's `config.json` says, whatever its family, and how its values are checked.

A family (see `families`) reads its own sizes with `ModelConfig` and returns an `Architecture`, or a subclass of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from nli_core.errors import UserError

Activation = Literal["gelu", "gelu_new", "relu", "tanh"]
Pooling = Literal["first", "average"]
"""What represents a whole input: its first token, or the average of all."""
CONFIG_NAME = "config.json"
_Choice = TypeVar("_Choice", bound=str)
_MOST = {
    "vocab_size": 2**31,
    "num_hidden_layers": 1000,
    "num_attention_heads": 1024,
    "intermediate_size": 2**18,
    "max_position_embeddings": 2**20,
}
_MOST_ELSE = 2**16


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the rest of the program asks of an encoder.

    `max_position_embeddings` is the longest input in tokens, and `pooled_size` what the head of a classifier sees.
    `padding_id` is the padding's id where positions depend on it.
    """

    family: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    max_position_embeddings: int
    pooled_size: int
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    padding_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class PostNormArchitecture(Architecture):
    """Sizes and constants of a post-norm encoder.

    Each head is `head_size` wide. Embeddings of another size than the hidden states are projected. With a `padding_id`
    positions count from the row behind it. `type_vocab_size` may be 0; without `tells_texts_apart` every token has the
    first type.
    """

    num_attention_heads: int
    head_size: int
    embedding_size: int
    intermediate_size: int
    type_vocab_size: int
    hidden_act: Activation
    layer_norm_eps: float
    normalises_embeddings: bool = True
    tells_texts_apart: bool = True
    pools: Pooling = "first"
    pooled_act: Activation = "tanh"
    drops_summary: bool = False


@dataclass(frozen=True)
class Sight:
    """How far the tokens of a layer see: `window` tokens, or None for all; and the base of its rotary positions."""

    window: int | None
    theta: float


@dataclass(frozen=True, kw_only=True)
class PreNormArchitecture(Architecture):
    """Sizes and constants of a pre-norm encoder. `sights` has one for each layer."""

    num_attention_heads: int
    intermediate_size: int
    hidden_act: Activation
    norm_eps: float
    sights: tuple[Sight, ...]
    pools: Pooling
    pooled_act: Activation
    embedding_dropout: float
    mlp_dropout: float
    attention_bias: bool
    mlp_bias: bool
    norm_bias: bool
    pooler_bias: bool


class ModelConfig:
    """The values of an encoder's `config.json`, each checked when it is read.

    What lies outside its bounds is a mistake, and would fill the memory or divide by nothing.
    """

    def __init__(self, values: Mapping[str, Any], path: Path) -> None:
        self.values = values
        self.path = path

    @property
    def model_type(self) -> str:
        """The name of the encoder's family; old files of BERT lack it.

        Raises:
            UserError: the file lacks it, and is of another architecture.
        """
        architectures = self.values.get("architectures") or ["Bert"]
        if "model_type" not in self.values and not str(architectures[0]).startswith("Bert"):
            raise self.fault(f"has no model_type, and its architecture is {architectures[0]}; add the model_type")
        return str(self.values.get("model_type", "bert"))

    def size(self, name: str, default: int | None = None, *, least: int = 1, meaning: str = "") -> int:
        """Read a whole number, at most the largest of its `meaning`, which is its usual name.

        Raises:
            UserError: it is missing without a default, or out of range.
        """
        value = self._get(name, default)
        most = _MOST.get(meaning or name, _MOST_ELSE)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.fault(f"{name} must be a whole number from {least} to {most:,}, and is {value!r}")
        return value

    def rate(self, name: str, default: float | None = None) -> float:
        """Read a number from 0 to below 1.

        Raises:
            UserError: it is missing without a default, or out of range.
        """
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise self.fault(f"{name} must be a number from 0 to below 1, and is {value!r}")
        return value

    def flag(self, name: str) -> bool:
        """Read whether something is so; by default it is not.

        Raises:
            UserError: it is neither true nor false.
        """
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            raise self.fault(f"{name} must be true or false, and is {value!r}")
        return value

    def choice(self, name: str, known: tuple[_Choice, ...], default: _Choice | None = None) -> _Choice:
        """Read one of the known words.

        Raises:
            UserError: it is missing without a default, or another one.
        """
        value = self._get(name, default)
        for each in known:
            if value == each:
                return each
        raise self.fault(f"{name} {value!r} is unknown; known are {', '.join(known)}")

    def activation(self, name: str, default: Activation | None = None) -> Activation:
        """Read the name of an activation.

        Raises:
            UserError: it is missing without a default, or unknown.
        """
        return self.choice(name, get_args(Activation), default)

    def heads(self, hidden: str, heads: str) -> tuple[int, int]:
        """Read the hidden size and the number of attention heads, which divides it unless heads have their own size.

        Raises:
            UserError: one of them is missing or out of range, or they do not fit.
        """
        width = self.size(hidden, meaning="hidden_size")
        count = self.size(heads, meaning="num_attention_heads")
        if width % count and "head_size" not in self.values:
            raise self.fault(f"{hidden} {width} is not a multiple of {heads} {count}")
        return width, count

    def fault(self, message: str) -> UserError:
        """Return an error that names the file, and a remedy if the message has none."""
        remedy = "" if ";" in message else "; correct it, or choose another encoder"
        return UserError(f"{self.path}: {message}{remedy}")

    def _get(self, name: str, default: Any) -> Any:
        value = self.values.get(name)
        value = default if value is None else value
        if value is None:
            raise self.fault(f"lacks {name!r}")
        return value


def read_config(folder: Path) -> ModelConfig:
    """Read the `config.json` of a model's folder, as `read_description` does, for checked access."""
    return ModelConfig(read_description(folder), folder / CONFIG_NAME)


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
        raise UserError(f"{path}: cannot be read as JSON ({error}); fetch it again") from None
    if not isinstance(described, dict):
        raise UserError(f"{path}: is not a JSON object; fetch it again")
    return described
