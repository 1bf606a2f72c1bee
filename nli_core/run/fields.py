"""All fields of a run's config: their types, bounds, defaults and descriptions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from nli_core.config.base import Section
from nli_core.download.corpora.registry import CORPORA
from nli_core.download.encoders.registry import ENCODERS
from nli_core.errors import UserError, did_you_mean
from nli_core.run.config import RunConfig

_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
_BOUNDS |= {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}  # where a validator comes first
_MOST_VALUES = 20  # of a list
_NUMBERS = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}


@dataclass(frozen=True)
class Field:
    """A field, and the kinds of its section that have it; no kinds means every one."""

    path: str
    kinds: tuple[str, ...]
    type: str
    default: str
    description: str

    @property
    def section(self) -> str:
        """The section, such as finetune."""
        return self.path.partition(".")[0]


def all_fields() -> list[Field]:
    """List the fields of every section and kind, in the order of the config."""
    found: dict[tuple[str, str, str], Field] = {}
    for section, kind, model in _sections():
        schema = model.model_json_schema()["properties"]
        for name, described in schema.items():
            if name == "name" and kind and section == "corpus":
                continue
            text, default = _type(described), _default(model, name)
            same = found.get((section, name, text + default))
            kinds = (*(same.kinds if same else ()), kind) if kind else ()
            description = described.get("description", "")
            found[section, name, text + default] = Field(f"{section}.{name}", kinds, text, default, description)
    corpora = tuple(str(each.model_fields["name"].default) for each in CORPORA)
    name = Field("corpus.name", (), f"one of {', '.join(corpora)}", "", "which corpus")
    return [name, *(_everywhere(field) for field in found.values())]


def find_fields(wanted: str) -> list[Field]:
    """Return the fields of this name or section.

    Raises:
        UserError: there is none.
    """
    fields = all_fields()
    if found := [field for field in fields if wanted in (field.path, field.section, field.path.partition(".")[2])]:
        return found
    alike = did_you_mean(wanted, [field.path for field in fields]) or "; `nli config` lists all fields"
    raise UserError(f"there is no field {wanted}{alike}")


def value_of(config: RunConfig, field: Field) -> str | None:
    """Return a field's value in a config; None where this kind of section has no such field."""
    section, _, name = field.path.partition(".")
    values = getattr(config, section).model_dump(mode="json")
    return _shown(values[name]) if name in values else None


def _sections() -> Iterator[tuple[str, str, type[Section]]]:
    for kind in CORPORA:
        yield "corpus", str(kind.model_fields["name"].default), kind
    for encoder in ENCODERS:
        yield "encoder", encoder.__name__.removesuffix("Encoder").lower(), encoder
    for name, place in RunConfig.model_fields.items():
        if name not in ("corpus", "encoder"):
            assert isinstance(place.annotation, type)
            yield name, "", place.annotation


def _everywhere(field: Field) -> Field:
    """Name no kinds where all have the field."""
    count = {"corpus": len(CORPORA), "encoder": len(ENCODERS)}.get(field.section, 0)
    return Field(field.path, (), *_rest(field)) if len(field.kinds) == count else field


def _rest(field: Field) -> tuple[str, str, str]:
    return field.type, field.default, field.description


def _type(described: Mapping[str, Any]) -> str:
    """Describe the type and bounds of a JSON schema in words."""
    if "anyOf" in described:
        return " or ".join(dict.fromkeys(_type(each) for each in described["anyOf"]))
    if "enum" in described:
        return f"one of {', '.join(map(str, described['enum']))}"
    if "$ref" in described:
        return "fields with values"
    if "const" in described:
        return str(described["const"])
    if described.get("type") == "array":
        return f"list of {_type(described.get('items', {'type': 'string'}))}"
    if described.get("type") == "object":
        return "names with values"
    kind = str(described.get("type", "text"))
    bounds = [f"{words} {_shown(described[bound])}" for bound, words in _BOUNDS.items() if bound in described]
    if "exclusiveMinimum" in described and "ge" in described:
        bounds = [
            words for words in bounds if not words.startswith("at least")
        ]  # the type's, where a field has its own
    return ", ".join([_NUMBERS.get(kind, kind), *bounds])


def _default(model: type[Section], name: str) -> str:
    default = model.model_fields[name].default
    return "required" if default is PydanticUndefined else _shown(default)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _MOST_VALUES:,} more" if len(value) > _MOST_VALUES else ""
        return f"[{', '.join(map(_shown, value[:_MOST_VALUES]))}{more}]"
    if isinstance(value, Section):
        return _shown(value.model_dump(mode="json", exclude_defaults=True))
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_shown(each)}' for name, each in value.items() if each not in (None, {}))}}}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)  # an int in full
