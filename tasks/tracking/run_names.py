"""What runs are called: their recipe, and what was set to something else than it says."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config
from tasks.recipes import find_recipe
from tasks.settings import RECIPE_BOOK, project_root

_MOST_FIELDS = 6
_MOST_LETTERS = 24
_SECTIONS = ("finetune", "encoder", "pack", "corpus", "evaluate")  # what is changed most comes first
_UNSHOWN = re.compile(r"source|sha256|.*_source|.*_sha256|columns|premise|hypothesis|label|labels|drop_labels")
_SHORT = {"learning_rate": "lr", "batch_size": "batch", "max_length": "length", "weight_decay": "decay"}


def run_title(recipe: str, config: RunConfig) -> str:
    """Return a title such as `sample lr=1e-4 seed=1`; without a recipe of this name, only the name.

    Where files come from, and what their columns and labels are called, is no part of it.
    """
    try:
        usual = parse_config(find_recipe(project_root() / RECIPE_BOOK, recipe).config)
    except UserError:
        return recipe
    fields: dict[str, Any] = {}
    for section, values in _shown(config).items():
        before = _shown(usual).get(section, {})
        fields |= {f"{section}.{name}": value for name, value in values.items() if value != before.get(name, value)}
    if "encoder.name" in fields and fields.get("pack.truncation") == "transformers":
        del fields["pack.truncation"]  # which an encoder of the hub brings along
    return f"{recipe} {fields_title(fields)}".rstrip()


def fields_title(values: Mapping[str, object]) -> str:
    """Return fields and their values in short, such as `lr=1e-4 seed=1`."""
    fields = []
    for path, value in values.items():
        section, _, name = path.rpartition(".")
        fields.append(f"{section if name == 'name' else _SHORT.get(name, name)}={_short(value)}")
    more = [f"and {len(fields) - _MOST_FIELDS} more"] if len(fields) > _MOST_FIELDS else []
    return " ".join([*fields[:_MOST_FIELDS], *more])


def _shown(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return the fields that change a result, by section."""
    return {
        section: {
            name: value
            for name, value in getattr(config, section).result_fields().items()
            if not _UNSHOWN.fullmatch(name)
        }
        for section in _SECTIONS
    }


def _short(value: object) -> str:
    text = _number(value) if isinstance(value, float) else Path(str(value)).name
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"


def _number(value: float) -> str:
    if value and abs(value) < 0.01:
        digits, _, power = f"{value:e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:g}"
