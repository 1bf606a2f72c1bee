"""The base of every section of a config, and the types of values that several sections have.

A field that changes where or how fast a result is made, but not the result, carries `NOT_IN_KEY`. Keys of the stage
store leave it out (see `result_fields`). A field that came later than a release carries `IN_KEY_IF_SET`: at its
default, keys are those from before.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

NOT_IN_KEY: JsonDict = {"changes_result": False}
IN_KEY_IF_SET: JsonDict = {"changes_result": "unless it has its default"}


def _no_truth(value: object) -> object:
    """Refuse `true`, which pydantic takes for 1: whoever writes it means another field."""
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


Int = Annotated[int, BeforeValidator(_no_truth)]
Float = Annotated[float, BeforeValidator(_no_truth)]
AutoInt = Annotated[Int | None, Field(ge=1), BeforeValidator(lambda value: None if value == "auto" else value)]
"""A number from 1, or null, which may be written `auto`."""
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: [name.strip() for name in value.split(",")] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A list of names, or one text with commas between them."""
Fraction = Annotated[Float, Field(ge=0.0, lt=1.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """Base of every config section: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    def result_fields(self) -> dict[str, Any]:
        """Return the fields that change this section's result, as JSON-ready values."""
        fields = type(self).model_fields
        left_out = {name for name, field in fields.items() if field.json_schema_extra == NOT_IN_KEY}
        return self.model_dump(mode="json", exclude=left_out | self.later_defaults())

    def later_defaults(self) -> set[str]:
        """Return the fields with `IN_KEY_IF_SET` that have their defaults; nothing is written about them."""
        fields = type(self).model_fields.items()
        later = {name: field.default for name, field in fields if field.json_schema_extra == IN_KEY_IF_SET}
        return {name for name, default in later.items() if getattr(self, name) == default}
