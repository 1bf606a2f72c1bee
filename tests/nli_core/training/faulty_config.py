"""A config whose use fails on one rank: the module is imported by the processes of a launched training."""

import os

from nli_core.config import FinetuneConfig
from nli_core.errors import UserError

FAULT_AT = 7  # how often a rank asks for the loss, once a step


class FaultyConfig(FinetuneConfig):
    """Fails on rank 1 in a step, as a batch does that does not fit into that device's memory."""

    def __getattribute__(self, name: str) -> object:
        if name == "loss" and os.environ.get("RANK") == "1":
            asked = int(os.environ.get("ASKED", "0")) + 1
            os.environ["ASKED"] = str(asked)
            if asked == FAULT_AT:
                raise UserError("rank 1 has no memory left")
        return super().__getattribute__(name)
