"""All families of encoders, by the `model_type` of their `config.json`.

To add one, write a file beside this one, whose `FAMILY` describes it, and add its name here.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nli_core.errors import UserError
from nli_core.model.architecture import CONFIG_NAME, read_config

if TYPE_CHECKING:
    from nli_core.model.architecture import Architecture
    from nli_core.model.encoder import Encoder
    from nli_core.model.families.base import Family

FAMILIES = {
    "bert": "bert",
    "camembert": "camembert",
    "d2l_bert": "d2l",
    "distilbert": "distilbert",
    "electra": "electra",
    "modernbert": "modernbert",
    "roberta": "roberta",
    "transformer": "transformer",
    "xlm-roberta": "xlm_roberta",
}
"""The file of each family."""


def family_module(folder: Path) -> str:
    """Return the module of the family that an encoder in this folder belongs to.

    Raises:
        UserError: its `config.json` is missing, or describes no known family.
    """
    return _module(read_config(folder).model_type, folder)


def family_modules() -> list[str]:
    """Return the modules of all families."""
    return sorted({f"{__package__}.{name}" for name in FAMILIES.values()})


def read_architecture(folder: Path) -> "Architecture":
    """Read the `config.json` of an encoder's folder.

    Raises:
        UserError: it is missing, is of no known family, or asks for something that this encoder does not do.
    """
    config = read_config(folder)
    architecture: Architecture = _import(_module(config.model_type, folder)).read(config)
    return architecture


def build_encoder(architecture: "Architecture") -> "Encoder":
    """Build an encoder whose weights are still to be loaded."""
    encoder: Encoder = family_of(architecture).build(architecture)
    return encoder


def family_of(architecture: "Architecture") -> "Family[Any]":
    """Return the family that an architecture belongs to."""
    return _import(_module(architecture.family, Path()))


def _module(model_type: str, folder: Path) -> str:
    if model_type not in FAMILIES:
        raise UserError(f"{folder / CONFIG_NAME}: describes a {model_type}; only {', '.join(FAMILIES)} are supported")
    return f"{__package__}.{FAMILIES[model_type]}"


def _import(module: str) -> "Family[Any]":
    family: Family[Any] = import_module(module).FAMILY  # alone: the others need not be loaded
    return family
