"""What people change most of a recipe, side by side: for the form of a flow run, where a whole config is a lot."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, model_serializer
from pydantic.config import JsonDict

from nli_core.config.base import Float, Int, Section
from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.overrides import with_field

_FIELDS = {
    "epochs": "finetune.epochs",
    "learning_rate": "finetune.learning_rate",
    "batch_size": "finetune.batch_size",
    "seed": "finetune.seed",
    "max_length": "pack.max_length",
}


def _without_default(schema: JsonDict) -> None:
    schema.pop("default")


def _field(description: str) -> Any:
    """Describe a field that a form shows as an empty box: its schema has neither null nor a default."""
    return Field(None, description=description, json_schema_extra=_without_default)


_Whole = Annotated[Int | None, WithJsonSchema({"type": "integer"})]
_Number = Annotated[Float | None, WithJsonSchema({"type": "number"})]
_Text = Annotated[str | None, WithJsonSchema({"type": "string"})]


class Changes(Section):
    """Fields that replace those of the config. An empty one changes nothing."""

    epochs: _Whole = _field("passes over train")
    learning_rate: _Number = _field("peak learning rate, such as 0.0001")
    batch_size: _Whole = _field("examples an optimiser step sees")
    seed: _Whole = _field("seed of the head, the order of examples and dropout")
    max_length: _Whole = _field("tokens an example may have")
    data: _Text = _field("path or address: of the training file, or of a published corpus' copy")

    @model_serializer
    def _filled_in(self) -> dict[str, Any]:
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}

    def applied(self, config: RunConfig) -> RunConfig:
        """Return the config with these values.

        Raises:
            UserError: a value is not valid, or the corpus comes from nowhere else.
        """
        values = {_FIELDS[name]: value for name in _FIELDS if (value := getattr(self, name)) is not None}
        if self.data:
            if config.corpus.place is None:
                name = config.corpus.name
                raise UserError(f"changes.data: the corpus {name} comes from nowhere else; leave it empty")
            values[f"corpus.{config.corpus.place}"] = self.data
        if not values:
            return config
        plain = config.model_dump(mode="json", exclude_unset=True)
        for path, value in values.items():
            plain = with_field(plain, path, value)
        return parse_config(plain)


UNCHANGED = Changes()
