"""Change single fields of a config: `--set section.field=value`, `--grid section.field=value,value`."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from nli_core.errors import UserError, reason_of

_SHOWN = 200  # characters of a setting that an error repeats


def override(config: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Put `dotted.field=YAML value` settings into the config, in order.

    Raises:
        UserError: a setting is not of that form.
    """
    changed = dict(config)
    for setting in settings:
        path, text = _split("--set", setting, "finetune.epochs=1")
        changed = with_field(changed, path, _read_yaml("--set", setting, text))
    return changed


def split_settings(option: str, settings: Sequence[str], example: str) -> dict[str, str]:
    """Split `dotted.field=text` settings into the text of each field.

    Raises:
        UserError: a setting is not of that form, or its field is named twice.
    """
    texts: dict[str, str] = {}
    for setting in settings:
        path, text = _split(option, setting, example)
        if path in texts:
            raise UserError(f"{option} {setting}: the field is named twice")
        texts[path] = text
    return texts


def parse_grid(settings: Sequence[str]) -> dict[str, list[Any]]:
    """Read the values of each field in `dotted.field=YAML value,YAML value`.

    Raises:
        UserError: a setting is not of that form, has no value, or its field is named twice.
    """
    texts = split_settings("--grid", settings, "finetune.learning_rate=5e-5,1e-4")
    return {path: parse_values("--grid", f"{path}={text}", text) for path, text in texts.items()}


def parse_values(option: str, setting: str, text: str) -> list[Any]:
    """Read `YAML value,YAML value`; `option` and `setting` are for the error.

    Raises:
        UserError: it is malformed, has no value, or the same value twice.
    """
    values: list[Any] = _read_yaml(option, setting, f"[{text}]")
    if not values:
        raise UserError(f"{option} {setting}: has no values")
    if any(value in values[:index] for index, value in enumerate(values)):
        raise UserError(f"{option} {setting}: has a duplicate value")
    return values


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


def _read_yaml(option: str, setting: str, text: str) -> Any:
    """Read a value as YAML 1.2, where yes, no, on, off and 1:30 are strings: they are popular names for labels."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        reason = error.problem or "a part of it cannot be read"
    except (YAMLError, ValueError) as error:  # characters, and dates or numbers that are none
        reason = reason_of(error)
    except RecursionError:
        reason = "too many brackets within brackets"
    shown = setting if len(setting) <= _SHOWN else f"{setting[:_SHOWN]}..."
    raise UserError(f"{option} {shown}: the value is not valid YAML: {reason}; close brackets, or quote the value")
