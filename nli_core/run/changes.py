"""What people change most of a recipe, side by side: for the form of a flow run, where a whole config is a lot."""

from pydantic import Field

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


class Changes(Section):
    """Fields that replace those of the config. An empty one changes nothing."""

    epochs: Int | None = Field(None, description="passes over train")
    learning_rate: Float | None = Field(None, description="peak learning rate, such as 0.0001")
    batch_size: Int | None = Field(None, description="examples an optimiser step sees")
    seed: Int | None = Field(None, description="seed of the head, the order of examples and dropout")
    max_length: Int | None = Field(None, description="tokens an example may have")
    data: str | None = Field(
        None, min_length=1, description="path or address: of the training file, or of a published corpus' copy"
    )

    def applied(self, config: RunConfig) -> RunConfig:
        """Return the config with these values.

        Raises:
            UserError: a value is not valid, or the corpus comes from nowhere else.
        """
        values = {_FIELDS[name]: value for name in _FIELDS if (value := getattr(self, name)) is not None}
        if self.data is not None:
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
