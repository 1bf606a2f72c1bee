"""The recipe book: deployments of `prefect.yaml`, read as named configurations."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nli_core.errors import UserError
from tasks.settings import RECIPE_BOOK, project_root

_PIPELINE = "flows/pipeline.py:pipeline"
_BOOL = "tag:yaml.org,2002:bool"


class _ValueLoader(yaml.SafeLoader):
    """YAML as in its version 1.2, where yes, no, on and off are strings: they are popular names for labels."""


_ValueLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_ValueLoader.add_implicit_resolver(_BOOL, re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


@dataclass(frozen=True)
class Recipe:
    """A named run: its description and the plain, not yet validated, values of its config."""

    name: str
    description: str
    config: Mapping[str, Any]


def read_recipes(book: Path) -> dict[str, Recipe]:
    """All deployments of the pipeline in a `prefect.yaml`, by name.

    Raises:
        UserError: the file is missing or is not valid YAML.
    """
    try:
        described = yaml.safe_load(book.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{book}: there is no recipe book; run nli in the project's folder") from None
    except yaml.YAMLError as error:
        raise UserError(f"{book}: is not valid YAML ({error})") from None
    return {
        deployment["name"]: Recipe(
            deployment["name"], " ".join(deployment["description"].split()), deployment["parameters"]["config"]
        )
        for deployment in described["deployments"]
        if deployment["entrypoint"] == _PIPELINE
    }


def find_recipe(book: Path, name: str) -> Recipe:
    """One recipe by name.

    Raises:
        UserError: there is none of this name; names those that there are.
    """
    recipes = read_recipes(book)
    if name not in recipes:
        raise UserError(f"there is no recipe {name!r}; there are {', '.join(recipes)}")
    return recipes[name]


def recipe_names() -> list[str]:
    """The names of all recipes, for a shell that completes one; none where there is no recipe book."""
    try:
        return list(read_recipes(project_root() / RECIPE_BOOK))
    except UserError:
        return []


def override(config: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The config with `dotted.field=YAML value` settings put in, in order.

    Raises:
        UserError: a setting is not of that form.
    """
    changed = dict(config)
    for setting in settings:
        path, text = _split("--set", setting, "finetune.epochs=1")
        try:
            value = yaml.load(text, _ValueLoader)  # a SafeLoader
        except yaml.YAMLError:
            raise UserError(f"--set {setting}: the value is not valid YAML; quote it") from None
        changed = with_field(changed, path, value)
    return changed


def parse_grid(settings: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each field in `dotted.field=YAML value,YAML value`.

    Raises:
        UserError: a setting is not of that form, has no value, or its field is named twice.
    """
    grid: dict[str, list[Any]] = {}
    for setting in settings:
        path, text = _split("--grid", setting, "finetune.learning_rate=5e-5,1e-4")
        try:
            values = yaml.load(f"[{text}]", _ValueLoader)  # a SafeLoader
        except yaml.YAMLError:
            raise UserError(f"--grid {setting}: the values are not valid YAML; quote them") from None
        fault = "the field is named twice" if path in grid else "has no values" if not values else None
        if fault is None and any(value in values[:place] for place, value in enumerate(values)):
            fault = "a value stands there twice"
        if fault:
            raise UserError(f"--grid {setting}: {fault}")
        grid[path] = values
    return grid


def with_field(config: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of the config with the value of one `dotted.field`.

    Raises:
        UserError: the path leads through a field that has none of its own.
    """
    changed = deepcopy(dict(config))
    *sections, field = path.split(".")
    place = changed
    for name in sections:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise UserError(f"{path}={value}: {path.rpartition('.')[0]} has no fields of its own")
    place[field] = value
    return changed


def _split(option: str, setting: str, example: str) -> tuple[str, str]:
    path, equals, text = setting.partition("=")
    names = path.strip().split(".")
    if not equals or len(names) < 2 or not all(names):
        raise UserError(f"{option} {setting}: write it as section.field=value, such as {example}")
    return ".".join(names), text
