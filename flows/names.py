"""What flow runs are called: as their runs in MLflow, unless somebody named one."""

import re
from contextlib import suppress
from typing import Any

from coolname.data import config
from prefect.runtime import flow_run

from nli_core.errors import UserError
from nli_core.run.changes import UNCHANGED, Changes
from nli_core.run.config import RunConfig
from tasks.tracking.run_names import run_title

_SLUGS: Any = config  # lists of words, and how they are combined
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega"
)
_STAR = re.compile(rf"({'|'.join(_GREEK.split())})\d+(-[a-z]+)+")


def run_name() -> str:
    """Name the present flow run after its recipe and what differs from it; keep a name that is not Prefect's own."""
    present = str(flow_run.name or "")
    if present and not _is_invented(present):
        return present
    parameters = flow_run.parameters
    config = RunConfig.model_validate(parameters["config"])
    changes = Changes.model_validate(parameters.get("changes", UNCHANGED))
    with suppress(UserError):  # which the flow itself reports
        config = changes.applied(config)
    return run_title(str(parameters["recipe"]), config)


def _is_invented(name: str) -> bool:
    """Return whether Prefect made the name: `brave-otter`, or `tau282-chactun-v`, as the form of its UI does."""
    if _STAR.fullmatch(name):
        return True
    words = name.split("-")
    return len(words) == 2 and all(any(word in each.get("words", ()) for each in _SLUGS.values()) for word in words)
