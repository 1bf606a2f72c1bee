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
        described = yaml.load(book.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except FileNotFoundError:
        raise UserError(f"{book}: there is no recipe book; run nli in the project's folder") from None
    except OSError as error:
        raise UserError(f"{book}: cannot be read ({error.strerror})") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{book}: is not valid YAML ({line}{error.problem or error.context})") from None
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
    names = [recipe.name for recipe in recipes]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{book}: has two deployments named {min(repeated)}; rename one")
    return {recipe.name: recipe for recipe in recipes}


class _Loader(yaml.SafeLoader):
    """Reads YAML as Prefect does, and refuses a key that is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value if isinstance(key.value, str) else None)
        return super().construct_mapping(node, deep)


def _recipe(deployment: Any, where: str) -> Recipe | None:
    try:
        if deployment["entrypoint"] != _PIPELINE:
            return None
        name, description = deployment["name"], " ".join(str(deployment["description"]).split())
        config = deployment["parameters"]["config"]
    except KeyError as error:
        raise UserError(f"{where}: lacks {error}; docs/recipes.md shows a whole recipe") from None
    except TypeError:
        config = None
    if not isinstance(config, Mapping):
        raise UserError(f"{where}: should have fields, and a config with fields; docs/recipes.md shows a whole recipe")
    if not isinstance(name, str):
        raise UserError(f"{where}: its name should be text, got {name!r}")
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
