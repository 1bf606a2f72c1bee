import importlib
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.overrides import override
from tasks.recipes import find_recipe, read_recipes


def _deployments(project: Path) -> list[dict[str, object]]:
    return list(yaml.safe_load((project / "prefect.yaml").read_text())["deployments"])


def test_every_deployment_fits_its_flow(project: Path) -> None:
    for deployment in _deployments(project):
        module, name = str(deployment["entrypoint"]).removesuffix(".py").replace(".py:", ":").split(":")
        flow = getattr(importlib.import_module(module.replace("/", ".")), name)
        flow.validate_parameters(deployment["parameters"])
        assert deployment["description"]
        assert deployment["work_pool"] == {"name": "nli", "job_variables": deployment["work_pool"]["job_variables"]}


def test_deployments_have_unique_names(project: Path) -> None:
    deployments = _deployments(project)
    names = [deployment["name"] for deployment in deployments]
    assert len(names) == len(set(names))
    recipes = read_recipes(project / "prefect.yaml")
    assert {"sample", "snli-minilm", "file-example"} <= recipes.keys()
    for deployment in deployments:
        if deployment["name"] in recipes:
            assert deployment["parameters"]["recipe"] == deployment["name"]


def test_every_stage_has_a_deployment(project: Path) -> None:
    entrypoints = {deployment["entrypoint"] for deployment in _deployments(project)}
    stages = ("download", "pack", "finetune", "evaluate")
    assert {f"flows/stages.py:{stage}_stage" for stage in stages} <= entrypoints


def test_an_unknown_recipe_is_answered_with_those_there_are(project: Path) -> None:
    with pytest.raises(UserError, match="no recipe 'smaple'; there are sample"):
        find_recipe(project / "prefect.yaml", "smaple")


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


def test_every_recipe_fits_prefects_json_schema(project: Path) -> None:
    schema = RunConfig.model_json_schema()
    for recipe in read_recipes(project / "prefect.yaml").values():
        jsonschema.validate(recipe.config, schema)
