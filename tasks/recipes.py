"""The recipe book: deployments of `prefect.yaml`, read as named configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nli_core.errors import UserError, did_you_mean
from tasks.settings import RECIPE_BOOK, project_root

_PIPELINE = "flows/pipeline.py:pipeline"


@dataclass(frozen=True)
class Recipe:
    """A named run: its description and the plain, not yet validated, values of its config."""

    name: str
    description: str
    config: Mapping[str, Any]


def read_recipes(book: Path) -> dict[str, Recipe]:
    """Read all deployments of the pipeline in a `prefect.yaml`, by name.

    Raises:
        UserError: the file is missing or is not valid YAML.
    """
    try:
        described = yaml.safe_load(book.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{book}: there is no recipe book; run nli in the project's folder") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{book}: is not valid YAML ({error})") from None
    return {
        deployment["name"]: Recipe(
            deployment["name"], " ".join(deployment["description"].split()), deployment["parameters"]["config"]
        )
        for deployment in described["deployments"]
        if deployment["entrypoint"] == _PIPELINE
    }


def find_recipe(book: Path, name: str) -> Recipe:
    """Find one recipe by name.

    Raises:
        UserError: there is none of this name; names those that there are.
    """
    recipes = read_recipes(book)
    if name not in recipes:
        raise UserError(f"there is no recipe {name!r}{did_you_mean(name, recipes)}; there are {', '.join(recipes)}")
    return recipes[name]


def recipe_names() -> list[str]:
    """List the names of all recipes for a shell's completion; none without a recipe book."""
    try:
        return list(read_recipes(project_root() / RECIPE_BOOK))
    except UserError:
        return []
