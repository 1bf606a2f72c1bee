"""What a run is: frozen pydantic models with bounds and a description for every field.

A field that changes where or how fast a result is made, but not the result, carries `PLACE`; it stays out of the keys
of the stage store (see `result_fields`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.config import JsonDict

from nli_core.errors import UserError

Stage = Literal["download", "pack", "finetune", "evaluate"]
STAGES: tuple[Stage, ...] = get_args(Stage)

PLACE: JsonDict = {"changes_result": False}
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """Base of every config section: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    def result_fields(self) -> dict[str, Any]:
        """The fields that change this section's result, as JSON-ready values."""
        fields = type(self).model_fields
        places = {name for name, field in fields.items() if field.json_schema_extra == PLACE}
        return self.model_dump(mode="json", exclude=places)


class SampleCorpus(Section):
    """Premise/hypothesis pairs that a small grammar in this project generates; needs no download."""

    name: Literal["sample"] = "sample"
    pairs: int = Field(4500, ge=90, le=1_000_000, description="pairs in train, dev and test together; a multiple of 3")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the grammar's choices")

    @field_validator("pairs")
    @classmethod
    def _balanced(cls, pairs: int) -> int:
        if pairs % 3:
            raise ValueError("must be a multiple of 3, so that every hypothesis comes with each label")
        return pairs


class SnliCorpus(Section):
    """The Stanford Natural Language Inference corpus, release 1.0 (Bowman et al., 2015)."""

    name: Literal["snli"] = "snli"
    source: str | None = Field(
        None,
        description="http(s) address or local path of an archive laid out like the release; empty: the release itself",
        json_schema_extra=PLACE,
    )
    sha256: Sha256 | None = Field(None, description="digest that the archive of `source` must have; empty: unverified")


class FileCorpus(Section):
    """The user's own CSV, TSV, JSONL or Parquet files, plain or gzipped."""

    name: Literal["file"] = "file"
    train: str = Field(description="path of the training examples", json_schema_extra=PLACE)
    dev: str | None = Field(
        None, description="path of the dev examples; empty: carved from train", json_schema_extra=PLACE
    )
    test: str | None = Field(
        None, description="path of the test examples; empty: carved from train", json_schema_extra=PLACE
    )
    premise: str = Field("premise", description="column of the premise, or of the only text")
    hypothesis: str | None = Field("hypothesis", description="column of the hypothesis; null for single texts")
    label: str = Field("label", description="column of the label")
    labels: tuple[str, ...] = Field(
        min_length=2,
        max_length=65_536,
        description="the label names as they stand in the files, in order of class number",
    )
    drop_labels: tuple[str, ...] = Field(
        (), description="values in the label column whose rows are dropped and counted"
    )
    dev_fraction: Fraction = Field(0.05, description="part of train, by class, that becomes dev where no file is given")
    test_fraction: Fraction = Field(
        0.1, description="part of train, by class, that becomes test where no file is given"
    )
    carve_seed: int = Field(0, ge=0, lt=2**32, description="seed of the choice of carved examples")

    @model_validator(mode="after")
    def _consistent(self) -> "FileCorpus":
        if repeated := {name for name in self.labels if self.labels.count(name) > 1}:
            raise ValueError(f"labels: {sorted(repeated)} named more than once")
        if both := set(self.labels) & set(self.drop_labels):
            raise ValueError(f"drop_labels: {sorted(both)} also stand in labels")
        carved = {"dev": (self.dev, self.dev_fraction), "test": (self.test, self.test_fraction)}
        for split, (path, fraction) in carved.items():
            if path is None and fraction == 0:
                raise ValueError(f"{split}: give a file, or a {split}_fraction above 0 to carve it from train")
        if sum(fraction for path, fraction in carved.values() if path is None) >= 1:
            raise ValueError("dev_fraction and test_fraction leave nothing of train")
        return self


CorpusConfig = Annotated[SampleCorpus | SnliCorpus | FileCorpus, Field(discriminator="name")]


class EncoderConfig(Section):
    """A pretrained encoder and where it comes from."""

    name: str = Field(
        "minilm-l6",
        min_length=1,
        description="minilm-l6, hf:OWNER/NAME@REVISION, or a local folder in the Hugging Face layout",
    )
    source: str | None = Field(
        None,
        description="a local folder that stands in for the download, or the address of a hub mirror for hf: names",
        json_schema_extra=PLACE,
    )
    sha256: Sha256 | None = Field(None, description="digest that the weights file must have; empty: as known by name")


class PackConfig(Section):
    """How text becomes shards."""

    max_length: int = Field(128, ge=8, le=8192, description="tokens an example may have, special tokens included")
    truncation: Literal["longest_first"] = Field(
        "longest_first", description="what to cut: the longer of the two texts, on a tie the hypothesis"
    )
    empty_text: Literal["error", "drop"] = Field("error", description="what to do with a row that has an empty text")
    rows_per_shard: int = Field(50_000, ge=1, le=10_000_000, description="examples in one shard")


class FinetuneConfig(Section):
    """How the encoder and its new head are trained."""

    epochs: int = Field(3, ge=1, le=1000, description="passes over train")
    batch_size: int = Field(64, ge=1, le=65_536, description="examples an optimiser step sees")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="peak learning rate")
    schedule: Literal["linear", "constant"] = Field("linear", description="learning rate after warm-up")
    warmup_fraction: Fraction = Field(0.1, description="part of all steps over which the rate rises from 0")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decay; none on biases and norms")
    adam_epsilon: float = Field(1e-8, gt=0, le=1, description="AdamW's epsilon")
    clip_norm: float | None = Field(1.0, gt=0, description="largest gradient norm; null: no clipping")
    head_dropout: float = Field(0.1, ge=0, lt=1, description="dropout between the pooled first token and the head")
    freeze_encoder: bool = Field(False, description="train the head alone")
    best_by: Literal["accuracy", "loss"] = Field("accuracy", description="dev metric that chooses the exported epoch")
    patience: int | None = Field(None, ge=1, description="stop after so many epochs without a better dev metric")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device is fast at it")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the head, the order of examples and dropout")
    log_every: int = Field(20, ge=1, description="steps between two points of the training curves")
    checkpoint_every: int | None = Field(
        500, ge=1, description="steps between two checkpoints; null: each epoch only", json_schema_extra=PLACE
    )


class EvaluateConfig(Section):
    """How a fine-tuned model is measured."""

    batch_size: int = Field(256, ge=1, le=65_536, description="examples in one forward pass")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device is fast at it")
    calibration_bins: int = Field(15, ge=2, le=100, description="bins of the calibration error and its diagram")


class RunConfig(Section):
    """A whole run: one section for each thing that a stage needs to know."""

    corpus: CorpusConfig
    encoder: EncoderConfig = EncoderConfig()
    pack: PackConfig = PackConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    evaluate: EvaluateConfig = EvaluateConfig()


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """Validate plain values into a `RunConfig`.

    Raises:
        UserError: names the first field at fault and what it accepts.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    details = error.errors(include_url=False)
    lines = []
    for detail in details:
        # A tagged union puts the tag into the location (corpus.snli.sha256); users know the field without it.
        place = [str(part) for part in detail["loc"]]
        if len(place) > 1 and place[0] == "corpus":
            del place[1]
        field = ".".join(place) or "config"
        if detail["type"] == "extra_forbidden":
            lines.append(f"{field}: there is no such field")
        elif detail["type"] == "missing":
            lines.append(f"{field}: is required")
        elif detail["type"] == "union_tag_invalid":
            lines.append(f"{field}.name: {detail['ctx']['tag']!r} is none of {detail['ctx']['expected_tags']}")
        else:
            message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
            lines.append(f"{field}: {message}, got {detail['input']!r}")
    return "invalid configuration: " + "; ".join(lines)
