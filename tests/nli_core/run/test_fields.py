"""Every field of a config is listed, with what it takes."""

import pytest

from nli_core.download.corpora.registry import CORPORA
from nli_core.download.encoders.registry import ENCODERS
from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.fields import all_fields, find_fields, value_of

SECTIONS = {"corpus": CORPORA, "encoder": ENCODERS}


def test_every_field_is_listed_with_type_and_meaning() -> None:
    kinds = {name: SECTIONS.get(name, (place.annotation,)) for name, place in RunConfig.model_fields.items()}
    expected = {f"{section}.{name}" for section in kinds for kind in kinds[section] for name in kind.model_fields}  # type: ignore[union-attr]
    fields = all_fields()
    assert {field.path for field in fields} == expected
    assert all(field.type for field in fields)
    assert [field.path for field in fields if not field.description and field.path != "encoder.name"] == []


@pytest.mark.parametrize(
    ("path", "type_", "default"),
    [
        ("finetune.epochs", "whole number, at least 1, at most 1000", "3"),
        ("finetune.warmup_fraction", "number, at least 0, below 1", "0.1"),
        ("finetune.patience", "whole number, at least 1 or null", "null"),
        ("finetune.seed", "whole number, at least 0, below 4294967296", "0"),
        ("pack.empty_text", "one of error, drop", "error"),
        ("corpus.pairs", "whole number, at least 90, at most 1000000", "4500"),
    ],
)
def test_types_and_bounds_are_words(path: str, type_: str, default: str) -> None:
    (field,) = find_fields(path)
    assert (field.type, field.default) == (type_, default)


def test_a_field_of_one_kind_says_so() -> None:
    assert {field.kinds for field in find_fields("corpus.train")} == {("ag-news",), ("file",)}
    assert find_fields("finetune.epochs")[0].kinds == ()
    with pytest.raises(UserError, match=r"no field finetune\.epoch; did you mean finetune\.epochs\?"):
        find_fields("finetune.epoch")


def test_a_config_has_values_where_its_kinds_have_the_field() -> None:
    config = parse_config({"corpus": {"name": "sample", "pairs": 900}})
    (field,) = find_fields("corpus.pairs")
    assert value_of(config, field) == "900"
    assert value_of(config, find_fields("corpus.hypothesis")[0]) is None
