import json
import reprlib
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from nli_core.config import EvaluateConfig, FinetuneConfig, PackConfig
from nli_core.download.corpora.ag_news import AgNewsCorpus
from nli_core.download.corpora.files import FileCorpus
from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.corpora.snli import SnliCorpus
from nli_core.download.encoders.d2l import D2lEncoder
from nli_core.download.encoders.pretrained import PretrainedEncoder
from nli_core.download.encoders.scratch import TransformerEncoder
from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config

pytestmark = pytest.mark.faults("inputs tried")

FILE = {"name": "file", "train": "t.csv", "labels": ["no", "yes"]}
WHOLE: list[tuple[str, type[BaseModel], dict[str, Any]]] = [
    ("corpus", SampleCorpus, {"name": "sample"}),
    ("corpus", SnliCorpus, {"name": "snli"}),
    ("corpus", AgNewsCorpus, {"name": "ag-news"}),
    ("corpus", FileCorpus, FILE),
    ("encoder", PretrainedEncoder, {"name": "minilm-l6"}),
    ("encoder", D2lEncoder, {"name": "d2l:bert.small"}),
    ("encoder", TransformerEncoder, {"name": "transformer"}),
    ("pack", PackConfig, {}),
    ("finetune", FinetuneConfig, {}),
    ("evaluate", EvaluateConfig, {}),
]


@pytest.mark.parametrize("section", [section for _, section, _ in WHOLE])
def test_every_field_is_described(section: type[BaseModel]) -> None:
    undescribed = [name for name, field in section.model_fields.items() if name != "name" and not field.description]
    assert undescribed == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"corpus": {"name": "sample"}, "finetune": {"lr": 1}}, "finetune.lr: no such field"),
        ({"corpus": {"name": "sample"}, "finetune": {"learning_rate": "fast"}}, "finetune.learning_rate"),
        ({"corpus": {"name": "sample", "source": "x"}}, "corpus.source: no such field of this corpus; another kind"),
        (
            {"corpus": {"name": "sample"}, "finetune": {"class_weights": [1, 2]}},
            "finetune.class_weights: 2 weights for 3 labels; give one for each of entailment, contradiction, neutral",
        ),
        (
            {"corpus": {"name": "sample"}, "finetune": {"layer_decay": 0.9, "freeze_encoder": True}},
            "layer_decay has no layer to train under freeze_encoder; set one of the two",
        ),
        *(
            (
                {"corpus": {"name": "sample"}, "finetune": {"class_weights": weights}},
                "finetune.class_weights: should be balanced, or a number above 0 for each label, such as [1, 20]",
            )
            for weights in ("even", [1], [1, 0], [1, "a"], [1, True], 5)
        ),
        (
            {"corpus": {"name": "sample"}, "pack": {"max_lenght": 1}},
            "pack.max_lenght: no such field; did you mean max_length?",
        ),
        (
            {"corpus": {"name": "sample"}, "pack": {"epochs": 1}},
            "pack.epochs: no such field; did you mean finetune.epochs?",
        ),
        ({"corpus": {"name": "sample"}, "finetun": {}}, "finetun: no such field; did you mean finetune?"),
        ({"corpus": {"name": "sample"}, "finetune": {"epochs": "few"}}, "should be a whole number, got 'few'"),
        ({"corpus": {"name": "sample"}, "finetune": {"epochs": 0}}, "finetune.epochs: should be at least 1, got 0"),
        ({"corpus": {"name": "sample", "pairs": 91}}, "multiple of 3"),
        ({"corpus": {"name": "snli", "sha256": "abc"}}, "corpus.sha256"),
        ({"corpus": {"name": "mnli"}}, "corpus.name: 'mnli' is unknown; known are 'sample', 'snli', 'ag-news', 'file'"),
        ({"corpus": {"name": "sample"}, "finetune": {"clip_norm": float("inf")}}, "finetune.clip_norm"),
        ({"corpus": {"name": "sample"}, "models": {}}, "models: no such field"),
        ({}, "corpus: is required"),
        (
            {"corpus": {"name": "sample"}, "encoder": {"name": "transformer"}},
            "invalid configuration: encoder.name: transformer reads single texts, and this corpus has pairs",
        ),
        ({"corpus": {**FILE, "labels": ["yes", "yes"]}}, "more than once"),
        ({"corpus": {**FILE, "labels": "yes,no,yes"}}, "more than once"),
        ({"corpus": {**FILE, "labels": []}}, "corpus.labels"),
        ({"corpus": {**FILE, "labels": list(map(str, range(65_537)))}}, "corpus.labels"),
        ({"corpus": {**FILE, "premise": []}}, "premise: name a column"),
        ({"corpus": {**FILE, "premise": ["title", "title"]}}, "name one column more than once"),
        ({"corpus": {**FILE, "labels": ["yes", "\ud800"]}}, "corpus.labels: holds half of a surrogate pair"),
        ({"corpus": {**FILE, "drop_labels": ["yes"]}}, "are also in labels"),
        ({"corpus": {**FILE, "label": "premise"}}, "name one column more than once"),
        ({"corpus": {**FILE, "dev_fraction": 0}}, "dev: give a file"),
        ({"corpus": {**FILE, "dev_fraction": 0.5, "test_fraction": 0.5}}, "leave nothing of train"),
    ],
)
def test_a_bad_config_is_one_line_that_names_the_field(values: dict[str, object], named: str) -> None:
    with pytest.raises(UserError) as error:
        parse_config(values)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_a_fault_within_a_list_is_named_once() -> None:
    with pytest.raises(UserError) as error:
        parse_config({"corpus": {**FILE, "labels": [None, "yes"]}})
    assert str(error.value) == "invalid configuration: corpus.labels.0: should be text, got None"


WRONG = {
    "number": [True, "many", [], {}, float("nan"), float("inf")],
    "string": [True, [], {}],
    "boolean": ["maybe", 2, [], {}],
    "array": [True, 1, "text", {}, [[]]],
    "choice": [True, 1, "neither", [], {}],
    "fields": [True, 1, "text", [], {"nonsense": 1}],
}


def _alternatives(field: dict[str, Any]) -> list[dict[str, Any]]:
    """The kinds of value that a field takes, null among them."""
    return [inner for kind in field.get("anyOf", [field]) for inner in kind.get("anyOf", [kind])]


def _wrong_values(field: dict[str, Any]) -> list[object]:
    """Values of each wrong type, and values just out of bounds, for a field that JSON schema describes so."""
    kinds = [kind for kind in _alternatives(field) if kind.get("type") != "null"]
    nullable = len(kinds) < len(_alternatives(field))
    if [kind.get("type") for kind in kinds] == ["string", "array"]:
        return [True, 1, {}, [[]], *([] if nullable else [None])]
    if len(kinds) == 2:  # a word, or a list of numbers
        return [*WRONG["choice"], [[]], [0, 0]]
    (kind,) = kinds
    if "$ref" in kind:
        return [*WRONG["fields"], None]
    name = "choice" if {"enum", "const"} & kind.keys() else {"integer": "number"}.get(kind["type"], kind["type"])
    wrong = list(WRONG[name]) if nullable else [*WRONG[name], None]
    if kind.get("type") == "integer":
        wrong += [kind.get("minimum", 1) + 0.5, "1.5"]
    wrong += [kind[bound] + step for bound, step in (("minimum", -1), ("maximum", 1)) if bound in kind]
    wrong += [kind[bound] for bound in ("exclusiveMinimum", "exclusiveMaximum") if bound in kind]
    wrong += [""] * (kind.get("minLength", 0) > 0) + ["no digest"] * ("pattern" in kind)
    return wrong


def _each_wrong_value() -> Iterator[Any]:
    for place, section, base in WHOLE:
        for name, field in section.model_json_schema()["properties"].items():
            if name == "name":
                continue
            for value in _wrong_values(field):
                yield pytest.param(place, base, name, value, id=f"{section.__name__}-{name}-{reprlib.repr(value)}")


@pytest.mark.parametrize(("place", "base", "name", "value"), list(_each_wrong_value()))
def test_every_field_refuses_what_it_does_not_mean(place: str, base: dict[str, Any], name: str, value: object) -> None:
    corpus = {} if place == "corpus" else {"corpus": {"name": "ag-news"}}
    with pytest.raises(UserError, match=rf"^invalid configuration: {place}\.{name}\b[^\n]*$"):
        parse_config({**corpus, place: {**base, name: value}})


@pytest.mark.parametrize(("place", "section", "base"), WHOLE)
def test_what_is_filled_in_for_a_field_is_valid_itself(
    place: str, section: type[BaseModel], base: dict[str, Any]
) -> None:
    corpus = {} if place == "corpus" else {"corpus": {"name": "ag-news"}}
    plain = json.loads(parse_config({**corpus, place: base}).model_dump_json())[place]
    assert {"name", *plain} == {"name", *section.model_fields}
    jsonschema.validate(plain, section.model_json_schema())


@pytest.mark.parametrize(
    ("encoder", "pack", "rule"),
    [
        ({"name": "hf:a/b@0123abc"}, {}, "transformers"),
        ({"name": "hf:a/b@0123abc"}, {"truncation": "ratio"}, "ratio"),
        ({"name": "d2l:bert.small"}, {}, "longest_first"),
        ({"name": "minilm-l6"}, {}, "longest_first"),
    ],
)
def test_an_encoder_of_the_hub_truncates_as_its_tokenizer(
    encoder: dict[str, str], pack: dict[str, str], rule: str
) -> None:
    config = parse_config({"corpus": FILE, "encoder": encoder, "pack": pack})
    assert config.pack.truncation == rule
    assert parse_config(config.model_dump(mode="json")) == config


def test_names_may_be_one_text() -> None:
    config = parse_config({"corpus": {**FILE, "labels": "no, yes", "premise": "title,body", "columns": "a, b"}})
    assert isinstance(config.corpus, FileCorpus)
    assert config.corpus.labels == ("no", "yes")
    assert config.corpus.premise == ("title", "body")
    assert config.corpus.columns == ("a", "b")


def test_labels_may_be_numbers() -> None:
    config = parse_config({"corpus": {**FILE, "labels": [0, 1]}})
    assert isinstance(config.corpus, FileCorpus)
    assert config.corpus.labels == ("0", "1")


def test_configs_are_frozen() -> None:
    config = parse_config({"corpus": {"name": "sample"}})
    with pytest.raises(ValidationError):
        config.finetune.epochs = 7  # type: ignore[misc]


def test_paths_are_not_result_fields() -> None:
    config = parse_config({"corpus": {"name": "snli", "source": "/somewhere"}})
    assert "source" not in config.corpus.result_fields()
    assert "checkpoint_every" not in config.finetune.result_fields()
    assert {"learning_rate", "seed", "epochs"} <= config.finetune.result_fields().keys()


def test_a_config_survives_its_own_json() -> None:
    config = parse_config({"corpus": FILE, "pack": {"max_length": 32}})
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_weights_of_classes_stay_a_list_in_json() -> None:
    """Prefect keeps parameters so, and warns of what is none."""
    config = parse_config({"corpus": {"name": "sample"}, "finetune": {"class_weights": [1, 2, 3]}})
    assert json.loads(config.model_dump_json())["finetune"]["class_weights"] == [1, 2, 3]
    assert config.model_copy().model_dump(mode="json")["finetune"]["class_weights"] == [1, 2, 3]
