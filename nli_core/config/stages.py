"""The config sections of the stages after download."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, field_validator, model_validator

from nli_core.config.base import IN_KEY_IF_SET, NOT_IN_KEY, AutoInt, Float, Fraction, Int, Section
from nli_core.config.challenge import Challenges
from nli_core.config.requirements import RequirementsConfig

Stage = Literal["download", "pack", "finetune", "audit", "evaluate"]
STAGES: tuple[Stage, ...] = get_args(Stage)
OutputKind = Literal["corpus", "encoder", "challenges", "pack", "challenge_shards", "audit", "finetune", "evaluate"]
OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
"""What the stages leave in the store: most one output of their own name, and some further ones."""

_MOST_WEIGHT = 1e6
Truncation = Literal["longest_first", "transformers", "ratio", "hypothesis_first", "premise_first"]


def _class_weights(value: Any) -> Any:
    """Validate weights as a whole, so that an error says what is taken and not which of two types failed."""
    if value is None or value == "balanced":
        return value
    parts = value.split(",") if isinstance(value, str) else value
    try:
        weights = tuple(float(part) for part in parts if not isinstance(part, bool))
    except (TypeError, ValueError):
        weights = ()
    if len(weights) < 2 or len(weights) < len(parts) or not all(0 < weight <= _MOST_WEIGHT for weight in weights):
        raise ValueError("should be balanced, or a number above 0 for each label, such as [1, 20]")
    return weights


ClassWeights = Annotated[
    Literal["balanced"] | tuple[float, ...] | None,
    PlainValidator(_class_weights),
    PlainSerializer(lambda weights: list(weights) if isinstance(weights, tuple | list) else weights),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "balanced"},
                {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}},
                {"type": "null"},
            ]
        }
    ),
]


class PackConfig(Section):
    """How text becomes shards."""

    max_length: Int = Field(128, ge=8, le=8192, description="tokens an example may have, special tokens included")
    truncation: Truncation = Field(
        "longest_first",
        description="of two texts that are too long together, cut: the longer one, on a tie the hypothesis; the same "
        "as the library does it, whose odd token stays with the longer one (transformers; default for hf: encoders); "
        "both in proportion to their lengths (ratio); or the one named, and the other only when nothing is left of it",
    )
    long_texts: Literal["truncate", "windows"] = Field(
        "truncate",
        description="what to do with texts that are too long: truncate them, or read them in windows that overlap by a "
        "fourth, whose logits are averaged (Sun et al., 2019); of a pair the premise is read so",
        json_schema_extra=IN_KEY_IF_SET,
    )
    fill: bool = Field(
        False, description="append padding up to max_length that the encoder takes for text (AI-For-Beginners does)"
    )
    empty_text: Literal["error", "drop"] = Field("error", description="what to do with a row that has an empty text")
    shared_examples: Literal["report", "error"] = Field(
        "report", description="what to do when dev or test has examples of an earlier split, whatever their labels"
    )
    rows_per_shard: Int = Field(50_000, ge=1, le=10_000_000, description="examples in one shard")

    @model_validator(mode="after")
    def _fills_no_windows(self) -> "PackConfig":
        if self.fill and self.long_texts == "windows":
            raise ValueError("fill appends padding to examples, and long_texts=windows has none; set one of the two")
        return self


class FinetuneConfig(Section):
    """How the encoder and its new head are trained."""

    epochs: Int = Field(3, ge=1, le=1000, description="passes over train")
    batch_size: Int = Field(64, ge=1, le=65_536, description="examples an optimiser step sees")
    micro_batch_size: AutoInt = Field(
        None,
        description="examples of a batch that a device takes at a time, where it has no memory for all; auto: all of "
        "its part. The gradients are those of the whole batch",
        json_schema_extra=NOT_IN_KEY,
    )
    devices: AutoInt = Field(
        None,
        description="devices that share every batch; auto: all GPUs that the process may use, or the CPU. On a CPU, "
        "processes that share its cores: to try it",
        json_schema_extra=NOT_IN_KEY,
    )
    learning_rate: Float = Field(5e-5, gt=0, le=1, description="peak learning rate")
    schedule: Literal["linear", "constant"] = Field("linear", description="learning rate after warm-up")
    warmup_fraction: Fraction = Field(0.1, description="part of all steps over which the rate rises from 0")
    weight_decay: Float = Field(0.01, ge=0, le=1, description="AdamW's decay; none on biases and norms; 0: Adam")
    adam_epsilon: Float = Field(1e-8, gt=0, le=1, description="AdamW's epsilon")
    loss: Literal["mean", "sum"] = Field(
        "mean", description="over the batch; for AdamW the two differ only in clip_norm and adam_epsilon"
    )
    clip_norm: Float | None = Field(1.0, gt=0, description="largest gradient norm; null: no clipping")
    head_dropout: Float = Field(0.1, ge=0, lt=1, description="dropout between the pooled first token and the head")
    freeze_encoder: bool = Field(False, description="train the head alone")
    best_by: Literal["accuracy", "loss", "micro_f1"] = Field(
        "accuracy",
        description="dev metric that chooses the exported model; micro_f1, of labels from one half on, is for "
        "multi-label corpora",
    )
    patience: Int | None = Field(None, ge=1, description="stop after so many evaluations without a better dev metric")
    evaluate_every: Int | None = Field(
        None,
        ge=1,
        description="steps between two evaluations on dev within an epoch; null: at the end of each epoch alone",
        json_schema_extra=IN_KEY_IF_SET,
    )
    max_steps: Int | None = Field(
        None,
        ge=1,
        description="end after so many steps, within an epoch too; null: after all epochs",
        json_schema_extra=IN_KEY_IF_SET,
    )
    class_weights: ClassWeights = Field(
        None,
        description="weights of the classes' losses, in the order of the labels; balanced: the rarer a class, the more "
        "(King and Zeng, 2001). Of a multi-label corpus, weights of the examples with the label",
        json_schema_extra=IN_KEY_IF_SET,
    )
    label_smoothing: Float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of each label that is spread over all (Szegedy et al., 2016)",
        json_schema_extra=IN_KEY_IF_SET,
    )
    layer_decay: Float = Field(
        1.0,
        gt=0,
        le=1,
        description="factor of the learning rate from a layer to the one below it (Howard and Ruder, 2018)",
        json_schema_extra=IN_KEY_IF_SET,
    )
    ema: Float | None = Field(
        None,
        gt=0,
        lt=1,
        description="how much of the averaged weights each step keeps (Polyak and Juditsky, 1992), such as 0.999; the "
        "average is measured and exported; null: the last weights",
        json_schema_extra=IN_KEY_IF_SET,
    )
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device is fast at it")
    deterministic: Literal["auto", "always"] = Field(
        "auto",
        description="always: every byte repeats, on a GPU by slower ways; auto: on a GPU all repeats but for rounding",
        json_schema_extra=IN_KEY_IF_SET,
    )
    seed: Int = Field(0, ge=0, lt=2**32, description="seed of the head, the order of examples and dropout")
    log_every: Int = Field(20, ge=1, description="steps between two points of the training curves")
    checkpoint_every: Int | None = Field(
        500,
        ge=1,
        description="steps between two checkpoints; null: each epoch only",
        json_schema_extra=NOT_IN_KEY,
    )

    @model_validator(mode="after")
    def _trains_its_layers(self) -> "FinetuneConfig":
        if self.freeze_encoder and self.layer_decay < 1:
            raise ValueError("layer_decay has no layer to train under freeze_encoder; set one of the two")
        return self


class EvaluateConfig(Section):
    """How a fine-tuned model is measured."""

    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device is fast at it")
    calibration_bins: Int = Field(15, ge=2, le=100, description="bins of the calibration error and its diagram")
    challenges: Challenges = Field(
        (),
        description="test sets beside the corpus' own: hans, breaking-nli, or {name: .., path: ..} for your own file",
        json_schema_extra=NOT_IN_KEY,
    )

    gate_fraction: Fraction = Field(
        0.0, description="part of test, chosen at random, that only promotion reads; the rest is test in all else"
    )
    requirements: RequirementsConfig = Field(
        RequirementsConfig(),
        description="what the model must reach, such as {accuracy: 0.8, slices: {hard: 0.5}}",
        json_schema_extra=NOT_IN_KEY,
    )

    @field_validator("challenges")
    @classmethod
    def _distinct(cls, challenges: Challenges) -> Challenges:
        names = [challenge.name for challenge in challenges]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{sorted(repeated)} named more than once")
        return challenges
