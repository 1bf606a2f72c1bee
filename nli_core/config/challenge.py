"""The config of a challenge set: a test set beside the corpus' own."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from nli_core.config.base import NOT_IN_KEY, Names, Section

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


def _of_name(value: object) -> object:
    """Take a name alone for a challenge set without further fields."""
    return {"name": value} if isinstance(value, str) else value


class ChallengeConfig(Section):
    """A challenge set: one that is published, by its name, or a file of the user's."""

    name: str = Field(description="hans, breaking-nli, or a name for your file: letters, digits, dots, - and _")
    path: str | None = Field(
        None, min_length=1, description="path or address in a bucket of your file", json_schema_extra=NOT_IN_KEY
    )
    source: str | None = Field(
        None,
        min_length=1,
        description="address or path of a copy of a published set; empty: the published one",
        json_schema_extra=NOT_IN_KEY,
    )
    premise: Names | None = Field(None, description="column of the premise, or of the only text; several are joined")
    hypothesis: str | None = Field(None, description="column of the hypothesis; null: hypothesis, if there are pairs")
    label: str | None = Field(None, description="column of the label; null: label")
    labels: dict[str, Names] | None = Field(
        None,
        min_length=1,
        description="which labels of the model each label of the set means, such as {no: [neutral, contradiction]}; "
        "null: equal names",
    )
    group: str | None = Field(None, description="column by whose values accuracy is reported too")

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("should be letters, digits, dots, - and _, at most 64, a letter or digit first")
        return name

    @model_validator(mode="after")
    def _one_place(self) -> "ChallengeConfig":
        if self.path is not None and self.source is not None:
            raise ValueError("path is for your own file and source for a published set; give one of them")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Let forms take a name alone too."""
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(handler(schema))]}

    def given(self) -> dict[str, Any]:
        """Return the fields of the file's form that somebody set."""
        return {name: value for name, value in self.result_fields().items() if value is not None and name != "name"}


Challenges = tuple[Annotated[ChallengeConfig, BeforeValidator(_of_name)], ...]
