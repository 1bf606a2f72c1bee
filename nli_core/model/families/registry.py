"""All families of encoders, by the `model_type` of their `config.json`.

To add one, write a file beside this one, whose `FAMILY` describes it, and add its name here.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
"""The file of each family. `other` serves all that are not here."""


def family_entry(folder: Path) -> str:
    """Return where the code of the family begins that an encoder in this folder belongs to: `module:definition`.

    Raises:
        UserError: its `config.json` is missing or damaged.
    """
    return _entry(FAMILIES.get(read_config(folder).model_type))


def family_entries() -> list[str]:
    """Return where the code of every family begins."""
    return sorted({_entry(file) for file in (*FAMILIES.values(), None)})


def read_architecture(folder: Path) -> "Architecture":
    """Read the `config.json` of an encoder's folder.

    Raises:
        UserError: it is missing, is of no known family, or asks for something that this encoder does not do.
    """
    config = read_config(folder)
    architecture: Architecture = _family(config.model_type, config.path).read(config)
    return architecture


def build_encoder(architecture: "Architecture") -> "Encoder":
    """Build an encoder whose weights are still to be loaded."""
    encoder: Encoder = family_of(architecture).build(architecture)
    return encoder


def family_of(architecture: "Architecture") -> "Family[Any]":
    """Return the family that an architecture belongs to."""
    return _family(architecture.family, Path(CONFIG_NAME))


def _family(model_type: str, path: Path) -> "Family[Any]":
    # Alone: the others need not be loaded.
    file = FAMILIES.get(model_type)
    module, _, name = _entry(file).partition(":")
    found = getattr(import_module(module), name)
    family: Family[Any] = found if file else found(model_type, path)
    return family


def _entry(file: str | None) -> str:
    return f"{__package__}.{file}:FAMILY" if file else f"{__package__}.other:family_for"
