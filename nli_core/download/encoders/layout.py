"""Which files of a folder or a repository an encoder needs."""

from nli_core.download.encoders.base import CONFIG_NAME
from nli_core.errors import UserError
from nli_core.filenames import TOKENIZER_FILES

WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")  # the first one that exists is used
WANTED_FILES = "config.json, model.safetensors (or pytorch_model.bin) and tokenizer.json (or vocab.txt)"
REMEDY = "give a local folder with encoder.source=... or another encoder.name"


def choose_files(present: set[str], where: str) -> list[str]:
    """Return the names to take out of all that a folder or a repository holds.

    Raises:
        UserError: the configuration, the weights or the tokenizer is missing.
    """
    weights = next((name for name in WEIGHTS_NAMES if name in present), None)
    tokenizer = [name for name in TOKENIZER_FILES if name in present]
    if CONFIG_NAME not in present:
        raise UserError(f"{where}: has no {CONFIG_NAME}; {REMEDY}")
    if weights is None:
        raise UserError(f"{where}: has neither {' nor '.join(WEIGHTS_NAMES)}; {REMEDY}")
    if not {"tokenizer.json", "vocab.txt"} & set(tokenizer):
        raise UserError(f"{where}: has neither tokenizer.json nor vocab.txt; {REMEDY}")
    return [CONFIG_NAME, weights, *tokenizer]
