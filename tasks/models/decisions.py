"""How often a test set has decided which model is champion: each time wears it out.

A model that is chosen among many by their figures on one test set fits that set too (Dwork et al., 2015). The count is
a tag of the registered model, per test set.
"""

from mlflow.entities import Run

from nli_core.filenames import GATE
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.tags import EXAMPLES_TAG

_TAG = "nli.decisions"
_DIGITS = 16


def count_decision(settings: Settings, model: str, run: Run, part: str) -> int:
    """Count one more decision between models on the test examples of a run, or on the part set aside; return how many.

    The caller holds the registry's lock.
    """
    examples = run.data.tags[EXAMPLES_TAG][:_DIGITS]
    tag = f"{_TAG}.{examples}{f'.{part}' if part == GATE else ''}"
    with mlflow_client(settings) as client:
        count = int(client.get_registered_model(model).tags.get(tag, "0")) + 1
        client.set_registered_model_tag(model, tag, str(count))
    return count


def ordinal(number: int) -> str:
    """Write a place in order: 1st, 2nd, 3rd, 4th, 11th."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
