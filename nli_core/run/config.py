"""A whole run, and how plain values become one."""

import reprlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError, model_validator

from nli_core.config.base import Section
from nli_core.config.stages import EvaluateConfig, FinetuneConfig, PackConfig
from nli_core.download.corpora.registry import CorpusConfig
from nli_core.download.encoders.pretrained import PretrainedEncoder
from nli_core.download.encoders.registry import EncoderConfig
from nli_core.errors import UserError


class RunConfig(Section):
    """A whole run: one section for each thing that a stage needs to know."""

    corpus: CorpusConfig
    encoder: EncoderConfig = PretrainedEncoder()
    pack: PackConfig = PackConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> "RunConfig":
        if self.corpus.has_pairs and not self.encoder.reads_pairs:
            raise ValueError(f"encoder.name: {self.encoder.name} reads single texts, and this corpus has pairs")
        if self.finetune.freeze_encoder and not self.encoder.is_pretrained:
            raise ValueError("finetune.freeze_encoder: the encoder starts from scratch, so it must be trained")
        return self


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
        path = [str(part) for part in detail["loc"]]
        if len(path) > 1 and path[0] in ("corpus", "encoder"):
            del path[1]
        field = ".".join(path)
        if detail["type"] == "extra_forbidden":
            lines.append(f"{field}: no such field")
        elif detail["type"] == "missing":
            lines.append(f"{field}: is required")
        elif detail["type"] == "union_tag_invalid":
            tags = detail["ctx"]
            lines.append(f"{field}.name: {tags['tag']!r} is unknown; known are {tags['expected_tags']}")
        else:
            message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
            whole = isinstance(detail["input"], Mapping)  # a section; the message says what is wrong with it
            got = "" if whole else f", got {reprlib.repr(detail['input'])}"
            lines.append(f"{field}: {message}{got}" if field else message)
    return "invalid configuration: " + "; ".join(lines)
