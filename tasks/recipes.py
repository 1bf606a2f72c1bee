"""Recipes: the deployments of the recipe book `prefect.yaml`, and the user's own files in `recipes/` beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nli_core.errors import UserError, did_you_mean, reason_of
from tasks.settings import RECIPE_BOOK, project_root

OWN_RECIPES = "recipes"
_OWN_FIELDS = ("description", "config", "schedules")
_HEAD = """# `nli run {name}` runs this recipe. `nli deploy` hands it to Prefect, with schedules if it has some, such as
# schedules: [{{cron: "0 3 * * *", timezone: Etc/UTC}}]
"""
_PIPELINE = "flows/pipeline.py:pipeline"


@dataclass(frozen=True)
class Recipe:
    """A named run: its description and the plain, not yet validated, values of its config."""

    name: str
    description: str
    config: Mapping[str, Any]
    schedules: Sequence[Mapping[str, Any]] = ()  # of a user's own, as Prefect writes them


def read_recipes(book: Path) -> dict[str, Recipe]:
    """Read all recipes by name: deployments of the pipeline in a `prefect.yaml`, and the files in `recipes/` beside it.

    Raises:
        UserError: a file is missing, is not valid YAML, or a recipe lacks what it needs or has the name of another.
    """
    recipes = {recipe.name: recipe for recipe in _of_book(book)}
    for path in _own_files(book):
        if path.stem in recipes:
            raise _taken(path)
        recipes[path.stem] = _own_recipe(path)
    return recipes


def _of_book(book: Path) -> list[Recipe]:
    recipes = [
        recipe
        for number, each in enumerate(read_deployments(book), 1)
        if (recipe := _recipe(each, f"{book}, deployment {number}"))
    ]
    names = [recipe.name for recipe in recipes]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{book}: has two deployments named {min(repeated)}; rename one")
    return recipes


def _own_files(book: Path) -> list[Path]:
    folder = book.parent / OWN_RECIPES
    return sorted(path for path in folder.glob("*") if path.suffix in (".yaml", ".yml"))


def _taken(path: Path) -> UserError:
    return UserError(f"{path}: there is another recipe {path.stem}; give the file another name")


def read_deployments(book: Path) -> list[Any]:
    """Read what a `prefect.yaml` says of each deployment.

    Raises:
        UserError: the file is missing, is not valid YAML, or has no deployments.
    """
    described = _read_yaml(book)
    deployments = described.get("deployments") if isinstance(described, dict) else None
    if not isinstance(deployments, list) or not deployments:
        raise UserError(f"{book}: has no list of deployments; put it back from version control")
    return deployments


def write_recipe(book: Path, name: str, description: str, config: Mapping[str, Any]) -> Path:
    """Write a recipe of the user's, and return its file.

    Raises:
        UserError: there is a recipe of this name, or the file cannot be written.
    """
    path = book.parent / OWN_RECIPES / f"{name}.yaml"
    if path.exists():
        raise UserError(f"{path}: exists; delete it, or choose another --name")
    if name in read_recipes(book):
        raise UserError(f"{book.name} has a recipe {name}; choose another --name")
    content = yaml.safe_dump(
        {"description": description, "config": config},
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=110,
    )
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(_HEAD.format(name=name) + content, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except FileNotFoundError:
        raise UserError(f"{path}: there is no recipe book; run nli in the project's folder") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path}: is not valid YAML ({line}{error.problem or error.context})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{path}: is not valid YAML ({reason_of(error)})") from None


def _own_recipe(path: Path) -> Recipe:
    described = _read_yaml(path)
    config = described.get("config") if isinstance(described, dict) else None
    if not isinstance(config, Mapping):
        raise UserError(f"{path}: should have a description and a config with fields; docs/own-data.md shows one")
    if unknown := described.keys() - _OWN_FIELDS:
        raise UserError(f"{path}: {min(map(str, unknown))} is no field; there are {', '.join(_OWN_FIELDS)}")
    description = " ".join(str(described.get("description", "")).split())
    return Recipe(path.stem, description, config, described.get("schedules") or ())


class _Loader(yaml.CSafeLoader):
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
    """Find one recipe by name; the files of others may be malformed.

    Raises:
        UserError: there is none of this name, or two; names those that there are.
    """
    of_book = {recipe.name: recipe for recipe in _of_book(book)}
    own = {path.stem: path for path in _own_files(book)}
    if name in of_book and name not in own:
        return of_book[name]
    if name in own and name not in of_book:
        return _own_recipe(own[name])
    if name in own:
        raise _taken(own[name])
    names = [*of_book, *own]
    raise UserError(f"there is no recipe {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")


def recipe_names() -> list[str]:
    """List the names of all recipes for a shell's completion; none without a recipe book."""
    try:
        return list(read_recipes(project_root() / RECIPE_BOOK))
    except UserError:
        return []
