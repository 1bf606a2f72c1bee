import pytest
from pydantic import BaseModel, ValidationError

from nli_core.config import (
    EvaluateConfig,
    FileCorpus,
    FinetuneConfig,
    PackConfig,
    PretrainedEncoder,
    RunConfig,
    SampleCorpus,
    SnliCorpus,
    parse_config,
)
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

SECTIONS = [SampleCorpus, SnliCorpus, FileCorpus, PretrainedEncoder, PackConfig, FinetuneConfig, EvaluateConfig]
FILE = {"name": "file", "train": "t.csv", "labels": ["no", "yes"]}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_is_described(section: type[BaseModel]) -> None:
    undescribed = [name for name, field in section.model_fields.items() if name != "name" and not field.description]
    assert undescribed == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"corpus": {"name": "sample"}, "finetune": {"lr": 1}}, "finetune.lr: there is no such field"),
        ({"corpus": {"name": "sample"}, "finetune": {"epochs": 0}}, "finetune.epochs"),
        ({"corpus": {"name": "sample"}, "finetune": {"learning_rate": "fast"}}, "finetune.learning_rate"),
        ({"corpus": {"name": "sample", "source": "x"}}, "corpus.source: there is no such field"),
        ({"corpus": {"name": "sample", "pairs": 91}}, "multiple of 3"),
        ({"corpus": {"name": "snli", "sha256": "abc"}}, "corpus.sha256"),
        ({"corpus": {"name": "mnli"}}, "corpus.name: 'mnli' is none of 'sample', 'snli', 'ag-news', 'file'"),
        ({"corpus": {"name": "sample"}, "finetune": {"clip_norm": float("inf")}}, "finetune.clip_norm"),
        ({"corpus": {"name": "sample"}, "models": {}}, "models: there is no such field"),
        ({}, "corpus: is required"),
        ({"corpus": {**FILE, "labels": ["yes", "yes"]}}, "more than once"),
        ({"corpus": {**FILE, "drop_labels": ["yes"]}}, "also stand in labels"),
        ({"corpus": {**FILE, "dev_fraction": 0}}, "dev: give a file"),
        ({"corpus": {**FILE, "dev_fraction": 0.5, "test_fraction": 0.5}}, "leave nothing of train"),
    ],
)
def test_a_bad_config_is_one_line_that_names_the_field(values: dict[str, object], named: str) -> None:
    with pytest.raises(UserError) as error:
        parse_config(values)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_labels_may_be_numbers() -> None:
    config = parse_config({"corpus": {**FILE, "labels": [0, 1]}})
    assert isinstance(config.corpus, FileCorpus)
    assert config.corpus.labels == ("0", "1")


def test_configs_are_frozen() -> None:
    config = parse_config({"corpus": {"name": "sample"}})
    with pytest.raises(ValidationError):
        config.finetune.epochs = 7  # type: ignore[misc]


def test_places_are_not_result_fields() -> None:
    config = parse_config({"corpus": {"name": "snli", "source": "/somewhere"}})
    assert "source" not in config.corpus.result_fields()
    assert "checkpoint_every" not in config.finetune.result_fields()
    assert {"learning_rate", "seed", "epochs"} <= config.finetune.result_fields().keys()


def test_a_config_survives_its_own_json() -> None:
    config = parse_config({"corpus": FILE, "pack": {"max_length": 32}})
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
