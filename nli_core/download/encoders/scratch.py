"""A transformer that is trained from scratch: it has neither weights nor a tokenizer yet."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from nli_core.config.base import Float, Int
from nli_core.download.encoders.base import CONFIG_NAME, Encoder
from nli_core.download.origin import Origin
from nli_core.download.source import Source
from nli_core.filenames import WORDS_TO_LEARN

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher

_KERAS_EPSILON = 1e-6  # of the norms in AI-For-Beginners


class TransformerEncoder(Encoder):
    """A transformer for single texts that begins from scratch, over words learned from train."""

    is_pretrained: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = False
    name: Literal["transformer"]
    vocabulary_size: Int = Field(20_000, ge=3, le=2**31, description="words, the padding and the unknown one included")
    hidden_size: Int = Field(32, ge=1, le=65_536, description="width of embeddings and hidden states")
    heads: Int = Field(2, ge=1, le=1024, description="attention heads")
    head_size: Int = Field(32, ge=1, le=65_536, description="width of the keys of each head")
    intermediate_size: Int = Field(32, ge=1, le=262_144, description="width of the feed-forward network")
    layers: Int = Field(1, ge=1, le=1000, description="transformer blocks")
    positions: Int = Field(256, ge=1, le=65_536, description="the longest input that the encoder has positions for")
    pooled_size: Int = Field(20, ge=1, le=65_536, description="width of the layer over the average of all tokens")
    dropout: Float = Field(0.1, ge=0, lt=1, description="dropout after attention, feed-forward and average")

    @classmethod
    def claims(cls, name: str) -> bool:
        return name == "transformer"

    def identity(self) -> dict[str, Any]:
        return self.result_fields()

    def sources(self) -> Iterator[Source]:
        yield from ()

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        """Leave the description of the encoder, and how many words packing is to learn."""
        described = {
            "model_type": "transformer",
            "vocab_size": self.vocabulary_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "head_size": self.head_size,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.positions,
            "type_vocab_size": 0,
            "hidden_act": "relu",
            "layer_norm_eps": _KERAS_EPSILON,
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": 0.0,
            "pooled_size": self.pooled_size,
        }
        (out / CONFIG_NAME).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (out / WORDS_TO_LEARN).write_text(json.dumps({"vocabulary_size": self.vocabulary_size}), encoding="utf-8")
        return Origin(source="trained from scratch", sha256=None, verified=True)
