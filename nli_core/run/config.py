"""A whole run, and how plain values become one."""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError, model_validator

from nli_core.config.base import Section
from nli_core.config.stages import EvaluateConfig, FinetuneConfig, PackConfig
from nli_core.download.challenges.base import Challenge
from nli_core.download.challenges.registry import find_challenge
from nli_core.download.corpora.registry import CorpusConfig
from nli_core.download.encoders.pretrained import HUB, PretrainedEncoder
from nli_core.download.encoders.registry import EncoderConfig
from nli_core.errors import UserError, did_you_mean


class RunConfig(Section):
    """A whole run: one section for each thing that a stage needs to know."""

    corpus: CorpusConfig
    encoder: EncoderConfig = PretrainedEncoder()
    pack: PackConfig = PackConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="before")
    @classmethod
    def _truncates_as_its_encoder(cls, values: Any) -> Any:
        """Have an encoder of the hub truncate pairs as its tokenizer does, unless the config says otherwise."""
        if not isinstance(values, Mapping):
            return values
        encoder, pack = values.get("encoder"), values.get("pack", {})
        name = encoder.get("name") if isinstance(encoder, Mapping) else getattr(encoder, "name", None)
        if str(name).startswith(HUB) and isinstance(pack, Mapping) and "truncation" not in pack:
            return {**values, "pack": {**pack, "truncation": "transformers"}}
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> "RunConfig":
        if self.corpus.has_pairs and not self.encoder.reads_pairs:
            raise ValueError(f"encoder.name: {self.encoder.name} reads single texts, and this corpus has pairs")
        if self.finetune.freeze_encoder and not self.encoder.is_pretrained:
            raise ValueError("finetune.freeze_encoder: the encoder starts from scratch, so it must be trained")
        self._require_known_classes()
        multi_label = getattr(self.corpus, "multi_label", False)
        if self.evaluate.challenges and multi_label:
            raise ValueError("evaluate.challenges: are for corpora whose examples have one label each; leave it out")
        if self.finetune.best_by == "micro_f1" and not multi_label:
            raise ValueError("finetune.best_by: micro_f1 is for corpora with corpus.multi_label; take accuracy or loss")
        for name in ("micro_f1", "macro_f1"):
            if getattr(self.evaluate.requirements, name) is not None and not multi_label:
                raise ValueError(f"evaluate.requirements.{name}: is for corpora with corpus.multi_label; leave it out")
        known = {challenge.table.name for challenge in self.challenges}
        for name in self.evaluate.requirements.challenges:
            if name.partition("/")[0] not in known:
                raise ValueError(
                    f"evaluate.requirements.challenges: {name!r} is not in evaluate.challenges; add it there"
                )
        return self

    def _require_known_classes(self) -> None:
        """Refuse what does not fit the labels of the corpus, where they are known beforehand."""
        labels = getattr(self.corpus, "labels", None) if self.corpus.user_files else self.corpus.layout.labels
        if not labels:
            return
        for label in self.evaluate.requirements.classes:
            if label not in labels:
                alike = did_you_mean(label, labels)
                raise ValueError(f"evaluate.requirements.classes: the corpus has no label {label!r}{alike}; change it")
        weights = self.finetune.class_weights
        if isinstance(weights, tuple) and len(weights) != len(labels):
            raise ValueError(
                f"finetune.class_weights: {len(weights)} weights for {len(labels)} labels; give one for each of "
                f"{', '.join(labels)}, in this order"
            )

    @property
    def challenges(self) -> list[Challenge]:
        """The challenge sets of evaluate, with where they are and how to read them.

        Raises:
            UserError: one is unknown, or for other examples than the corpus'.
        """
        return [find_challenge(each, has_pairs=self.corpus.has_pairs) for each in self.evaluate.challenges]


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """Validate plain values into a `RunConfig`.

    Raises:
        UserError: names the first field at fault and what it accepts.
    """
    if broken := _broken_text(values):
        raise UserError(f"invalid configuration: {broken}: holds half of a surrogate pair; write whole characters")
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(_explain(error)) from None


def _broken_text(value: object, place: str = "") -> str:
    """Return the field, if any, whose text cannot be written as UTF-8."""
    if isinstance(value, str):
        return place if any(0xD800 <= ord(character) < 0xE000 for character in value) else ""
    if isinstance(value, Mapping):
        inner = [(each, f"{place}.{name}".strip(".")) for name, each in value.items()]
    else:
        inner = [(each, place) for each in value] if isinstance(value, Sequence) else []
    return next((found for each, name in inner if (found := _broken_text(each, name))), "")


# What pydantic says of a value, in the words of the glossary; `{ge}` and the like come from the error's context.
_SHOULD = {
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "greater_than": "should be above {gt}",
    "greater_than_equal": "should be at least {ge}",
    "int_from_float": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "less_than": "should be below {lt}",
    "less_than_equal": "should be at most {le}",
    "dict_type": "should be names with values, such as {{a: b}}",
    "model_type": "should be fields with values, such as {{a: b}}",
    "string_type": "should be text",
    "too_long": "should have at most {max_length} values",
    "too_short": "should have at least {min_length} values",
    "tuple_type": "should be a list, such as [a, b]",
}


def _explain(error: ValidationError) -> str:
    details = error.errors(include_url=False)
    lines = []
    for detail in details:
        if any(each["loc"] and each["loc"][:-1] == detail["loc"] for each in details):
            continue  # what is wrong within says more
        # A tagged union puts the tag into the location (corpus.snli.sha256); users know the field without it.
        path = [str(part) for part in detail["loc"]]
        if len(path) > 1 and path[0] in ("corpus", "encoder"):
            del path[1]
        field = ".".join(path)
        if detail["type"] == "extra_forbidden":
            lines.append(f"{field}: no such field{_remedy(field)}")
        elif detail["type"] == "missing":
            lines.append(f"{field}: is required")
        elif detail["type"] == "union_tag_invalid":
            tags = detail["ctx"]
            lines.append(f"{field}.name: {tags['tag']!r} is unknown; known are {tags['expected_tags']}")
        else:
            message = _SHOULD[detail["type"]].format(**detail.get("ctx", {})) if detail["type"] in _SHOULD else ""
            message = message or detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
            whole = isinstance(detail["input"], Mapping)  # a section; the message says what is wrong with it
            got = "" if whole else f", got {reprlib.repr(detail['input'])}"
            lines.append(f"{field}: {message}{got}" if field else message)
    return "invalid configuration: " + "; ".join(lines)


def _remedy(field: str) -> str:
    """Say where there is such a field, or which field of the section is spelled alike."""
    sections = RunConfig.model_fields.items()
    kinds = {section: get_args(place.annotation) or (place.annotation,) for section, place in sections}
    known = {section: sorted({name for kind in kinds[section] for name in kind.model_fields}) for section in kinds}
    section, _, name = field.rpartition(".")
    if name in known.get(section, ()):
        return f" of this {section}; another kind of {section} has it"
    if elsewhere := [f"{each}.{name}" for each in known if name in known[each]]:
        return f"; did you mean {elsewhere[0]}?"
    return did_you_mean(name, known.get(section, known))
