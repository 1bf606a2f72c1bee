"""Change single fields of a config: `--set section.field=value` and `--grid section.field=value,value`."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import yaml

from nli_core.errors import UserError

_BOOL = "tag:yaml.org,2002:bool"


class _ValueLoader(yaml.SafeLoader):
    """YAML as in its version 1.2, where yes, no, on and off are strings: they are popular names for labels."""


_ValueLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_ValueLoader.add_implicit_resolver(_BOOL, re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def override(config: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Put `dotted.field=YAML value` settings into the config, in order.

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
    """Read the values of each field in `dotted.field=YAML value,YAML value`.

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
        if fault is None and any(value in values[:index] for index, value in enumerate(values)):
            fault = "has a duplicate value"
        if fault:
            raise UserError(f"--grid {setting}: {fault}")
        grid[path] = values
    return grid


def with_field(config: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """Copy the config with another value of one `dotted.field`.

    Raises:
        UserError: the path leads through a field that has none of its own.
    """
    changed = deepcopy(dict(config))
    *sections, field = path.split(".")
    section = changed
    for name in sections:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise UserError(f"{path}={value}: {path.rpartition('.')[0]} has no fields of its own")
    section[field] = value
    return changed


def _split(option: str, setting: str, example: str) -> tuple[str, str]:
    path, equals, text = setting.partition("=")
    names = path.strip().split(".")
    if not equals or len(names) < 2 or not all(names):
        raise UserError(f"{option} {setting}: write it as section.field=value, such as {example}")
    return ".".join(names), text
