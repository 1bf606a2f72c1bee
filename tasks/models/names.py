"""Names of models in MLflow's registry."""

import re

from nli_core.errors import UserError

CHAMPION = "champion"  # the alias of the version that counts
_NAME = re.compile(r"\w[\w.-]{0,199}")  # as `nli predict --model NAME@ALIAS` reads it


def check_model_name(name: str) -> None:
    """Look whether a model can have this name.

    Raises:
        UserError: it is too long, or has letters that an address of MLflow cannot hold.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name}: cannot be the name of a model; use up to 200 letters, digits, dots, dashes and underscores"
        )
