import re

import pytest

from nli_core.errors import UserError
from nli_core.run.config import parse_config
from nli_core.run.overrides import override


def test_settings_reach_any_field_as_yaml() -> None:
    config = {"corpus": {"name": "sample"}, "finetune": {"epochs": 3}}
    changed = override(config, ["finetune.epochs=1", "finetune.learning_rate=1e-4", "finetune.clip_norm=null"])
    parsed = parse_config(changed)
    assert (parsed.finetune.epochs, parsed.finetune.learning_rate, parsed.finetune.clip_norm) == (1, 1e-4, None)
    assert config == {"corpus": {"name": "sample"}, "finetune": {"epochs": 3}}
    assert override({}, ["corpus.labels=[no, 'b c', yes]", "finetune.freeze_encoder=true"]) == {
        "corpus": {"labels": ["no", "b c", "yes"]},
        "finetune": {"freeze_encoder": True},
    }


@pytest.mark.parametrize(
    "setting",
    [
        *["finetune.epochs", "epochs=3", "finetune..epochs=3", "corpus.name.first=x", "pack.x=[1"],
        *["pack.x=2001-99-99", "pack.x=2001-01-01 25:61:61", "pack.x=!!int foo", "pack.x=!!float abc"],
        *["pack.x='a", "pack.x=!a b", "pack.x=*a", "pack.x=" + "[" * 30],
    ],
)
def test_a_malformed_setting_is_refused_by_name(setting: str) -> None:
    with pytest.raises(UserError, match=re.escape(setting)):
        override({"corpus": {"name": "sample"}}, [setting])


@pytest.mark.parametrize("value", ["9" * 5000, "a\x07b", "\udcff"])
def test_a_value_that_is_no_yaml_is_one_line(value: str) -> None:
    with pytest.raises(UserError, match=r"^--set finetune\.epochs=.*the value is not valid YAML"):
        override({}, [f"finetune.epochs={value}"])


def test_a_deeply_nested_value_is_one_short_line() -> None:
    with pytest.raises(
        UserError, match=r"^--set pack\.x=\[{20}.*\.\.\.: the value is not valid YAML: too many brackets"
    ) as error:
        override({}, [f"pack.x={'[' * 3000}"])
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("text", "value"), [("no", "no"), ("1:30", "1:30"), ("010", 10), ("1e3", 1000.0), ("on", "on")]
)
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert override({}, [f"corpus.labels=[{text}]"]) == {"corpus": {"labels": [value]}}
