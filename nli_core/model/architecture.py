"""The shape of a BERT encoder, as its `config.json` describes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from nli_core.errors import UserError

Activation = Literal["gelu", "gelu_new", "relu"]


@dataclass(frozen=True, kw_only=True)
class BertArchitecture:
    """Sizes and constants of a post-norm BERT with learned positions (Devlin et al., 2019)."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_act: Activation
    layer_norm_eps: float
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )

    @classmethod
    def from_folder(cls, folder: Path) -> "BertArchitecture":
        """Read `config.json` of a folder in the Hugging Face layout.

        Raises:
            UserError: it is missing, is not a BERT's, or asks for something that this encoder does not do.
        """
        path = folder / "config.json"
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as JSON ({error})") from None
        return cls._from_values(described, path)

    @classmethod
    def _from_values(cls, described: Mapping[str, Any], path: Path) -> "BertArchitecture":
        if described.get("model_type", "bert") != "bert":
            raise UserError(f"{path}: describes a {described['model_type']}; only BERT encoders are supported")
        if described.get("position_embedding_type", "absolute") != "absolute":
            raise UserError(f"{path}: position_embedding_type must be absolute")
        activation = described.get("hidden_act", "gelu")
        if activation not in get_args(Activation):
            raise UserError(f"{path}: hidden_act {activation!r} is none of {', '.join(get_args(Activation))}")
        try:
            return cls(
                vocab_size=described["vocab_size"],
                hidden_size=described["hidden_size"],
                num_hidden_layers=described["num_hidden_layers"],
                num_attention_heads=described["num_attention_heads"],
                intermediate_size=described["intermediate_size"],
                max_position_embeddings=described["max_position_embeddings"],
                type_vocab_size=described.get("type_vocab_size", 2),
                hidden_act=activation,
                layer_norm_eps=described.get("layer_norm_eps", 1e-12),
                hidden_dropout_prob=described.get("hidden_dropout_prob", 0.1),
                attention_probs_dropout_prob=described.get("attention_probs_dropout_prob", 0.1),
            )
        except KeyError as error:
            raise UserError(f"{path}: lacks {error}") from None
