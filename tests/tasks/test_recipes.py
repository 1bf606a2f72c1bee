import importlib
from pathlib import Path

import jsonschema
import pytest
import yaml

from nli_core.errors import UserError
from nli_core.run.config import RunConfig
from tasks.recipes import find_recipe, read_recipes

WHOLE = "{{entrypoint: flows/pipeline.py:pipeline, name: {name}, description: a, parameters: {{config: {{}}}}}}"


def _deployments(project: Path) -> list[dict[str, object]]:
    return list(yaml.safe_load((project / "prefect.yaml").read_text())["deployments"])


def test_every_deployment_fits_its_flow(project: Path) -> None:
    for deployment in _deployments(project):
        module, name = str(deployment["entrypoint"]).removesuffix(".py").replace(".py:", ":").split(":")
        flow = getattr(importlib.import_module(module.replace("/", ".")), name)
        flow.validate_parameters(deployment["parameters"])
        assert deployment["description"]
        assert deployment["work_pool"] == {"name": "nli", "job_variables": deployment["work_pool"]["job_variables"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 1, c: 2}", r"is not valid YAML \(line 2: c is there twice\)"),
        ("a: 1\n\tb: 2", r"is not valid YAML \(line 2: found a tab character"),
        ("deployments: [" + ", ".join([WHOLE.format(name="a")] * 2) + "]", "has two deployments named a; rename one"),
        ("deployments: [" + WHOLE.format(name="null") + "]", "deployment 1: its name should be text, got None"),
        *((text, "has no list of deployments") for text in ("", "[]", "name: x", "deployments:")),
        ("deployments: 2001-99-99", "is not valid YAML"),
        ("deployments: [a]", "deployment 1: should have fields"),
        ("deployments: [{name: a}]", "deployment 1: lacks 'entrypoint'"),
        ("deployments: [{entrypoint: flows/pipeline.py:pipeline, description: a}]", "deployment 1: lacks 'name'"),
        (
            "deployments: [{entrypoint: flows/pipeline.py:pipeline, name: a, description: a, parameters: {config: 5}}]",
            "deployment 1: should have fields, and a config",
        ),
    ],
)
def test_a_malformed_recipe_book_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_recipes(tmp_path / "prefect.yaml")


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
    with pytest.raises(UserError, match="no recipe 'smaple'; did you mean sample\\?; there are sample"):
        find_recipe(project / "prefect.yaml", "smaple")


def test_every_recipe_fits_prefects_json_schema(project: Path) -> None:
    schema = RunConfig.model_json_schema()
    for recipe in read_recipes(project / "prefect.yaml").values():
        jsonschema.validate(recipe.config, schema)
