"""What runs are called: their recipe, and what was set to something else than it says."""

from pathlib import Path
from typing import Any

from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config
from tasks.recipes import read_recipes
from tasks.settings import RECIPE_BOOK, project_root

_MOST_FIELDS = 4
_MOST_LETTERS = 24
_ORIGINS = ("source", "sha256")  # where files come from, not what they are


def run_title(recipe: str, config: RunConfig) -> str:
    """Return a title such as `sample learning_rate=0.0001 seed=1`; without a recipe of this name, only the name."""
    try:
        book = read_recipes(project_root() / RECIPE_BOOK)
        usual = parse_config(book[recipe].config) if recipe in book else config
    except UserError:
        return recipe
    fields = []
    for section, values in _shown(config).items():
        before = _shown(usual).get(section, {})
        fields += [
            f"{section if name == 'name' else name}={_short(value)}"
            for name, value in values.items()
            if value != before.get(name, value)
        ]
    more = [f"and {len(fields) - _MOST_FIELDS} more"] if len(fields) > _MOST_FIELDS else []
    return " ".join([recipe, *fields[:_MOST_FIELDS], *more])


def _shown(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return the fields that change a result, by section."""
    return {
        section: {
            name: value
            for name, value in getattr(config, section).result_fields().items()
            if not name.endswith(_ORIGINS)
        }
        for section in type(config).model_fields
    }


def _short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else Path(str(value)).name
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
