"""Which encoder a run begins with: one section a family, told apart by the form of `name`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from nli_core.config.base import PLACE, Float, Int, Section, Sha256


class PretrainedEncoder(Section):
    """A pretrained BERT in the Hugging Face layout, and where it comes from."""

    name: str = Field(
        "minilm-l6",
        min_length=1,
        description="minilm-l6, hf:OWNER/NAME@REVISION, or a local folder in the Hugging Face layout",
        # Prefect validates against the JSON schema, under which a name must belong to one family alone.
        json_schema_extra={"pattern": "^(?!d2l:)(?!transformer$)"},
    )
    source: str | None = Field(
        None,
        min_length=1,
        description="a local folder that stands in for the download, or the address of a hub mirror for hf: names",
        json_schema_extra=PLACE,
    )
    sha256: Sha256 | None = Field(None, description="digest that the weights file must have; empty: as known by name")


class D2lEncoder(Section):
    """A pretrained BERT in the format of Dive into Deep Learning, 16.7.1. Empty sizes are those of the name."""

    name: Literal["d2l:bert.small", "d2l:bert.base"]
    source: str | None = Field(
        None,
        min_length=1,
        description="http(s) address or local path of the archive; empty: the published one",
        json_schema_extra=PLACE,
    )
    sha256: Sha256 | None = Field(None, description="digest that the archive of `source` must have; empty: unverified")
    hidden_size: Int = Field(256, ge=1, le=65_536, description="width of the hidden states")
    intermediate_size: Int = Field(512, ge=1, le=262_144, description="width of the feed-forward networks")
    heads: Int = Field(4, ge=1, le=1024, description="attention heads; the tensors do not tell")
    layers: Int = Field(2, ge=1, le=1000, description="transformer blocks")
    positions: Int = Field(512, ge=1, le=65_536, description="the longest input that the encoder has positions for")
    dropout: Float = Field(0.1, ge=0, lt=1, description="dropout after attention weights, attention and feed-forward")

    @model_validator(mode="before")
    @classmethod
    def _sizes_of_the_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") == "d2l:bert.base":
            return {"hidden_size": 768, "intermediate_size": 3072, "heads": 12, "layers": 12, **values}
        return values

    @model_validator(mode="after")
    def _whole_heads(self) -> "D2lEncoder":
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        return self


class TransformerEncoder(Section):
    """A transformer for single texts that begins from scratch, over words learned from train."""

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


def _encoder_kind(values: Any) -> str:
    name = values.get("name") if isinstance(values, dict) else getattr(values, "name", None)
    if name == "transformer":
        return "transformer"
    return "d2l" if str(name).startswith("d2l:") else "pretrained"


EncoderConfig = Annotated[
    Annotated[PretrainedEncoder, Tag("pretrained")]
    | Annotated[D2lEncoder, Tag("d2l")]
    | Annotated[TransformerEncoder, Tag("transformer")],
    Discriminator(_encoder_kind),
]
