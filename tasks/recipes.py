"""The recipe book: deployments of `prefect.yaml`, read as named configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nli_core.errors import UserError, did_you_mean, reason_of
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
        UserError: the file is missing, is not valid YAML, or a deployment lacks what a recipe needs.
    """
    try:
        described = yaml.safe_load(book.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{book}: there is no recipe book; run nli in the project's folder") from None
    except OSError as error:
        raise UserError(f"{book}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{book}: is not valid YAML ({reason_of(error)})") from None
    deployments = described.get("deployments") if isinstance(described, dict) else None
    if not isinstance(deployments, list):
        raise UserError(f"{book}: has no list of deployments; put it back from version control")
    recipes = [
        recipe
        for number, each in enumerate(deployments, 1)
        if (recipe := _recipe(each, f"{book}, deployment {number}"))
    ]
    return {recipe.name: recipe for recipe in recipes}


def _recipe(deployment: Any, where: str) -> Recipe | None:
    try:
        if deployment["entrypoint"] != _PIPELINE:
            return None
        name, description = str(deployment["name"]), " ".join(str(deployment["description"]).split())
        config = deployment["parameters"]["config"]
    except KeyError as error:
        raise UserError(f"{where}: lacks {error}; docs/recipes.md shows a whole recipe") from None
    except TypeError:
        config = None
    if not isinstance(config, Mapping):
        raise UserError(f"{where}: should have fields, and a config with fields; docs/recipes.md shows a whole recipe")
    return Recipe(name, description, config)


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
