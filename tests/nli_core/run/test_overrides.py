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
    "setting", ["finetune.epochs", "epochs=3", "finetune..epochs=3", "corpus.name.first=x", "pack.x=[1"]
)
def test_a_malformed_setting_is_refused_by_name(setting: str) -> None:
    with pytest.raises(UserError, match=re.escape(setting)):
        override({"corpus": {"name": "sample"}}, [setting])
