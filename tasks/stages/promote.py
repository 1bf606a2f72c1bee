"""The task that may change the champion at the end of a pipeline."""

from prefect import State, task
from prefect.states import Completed

from nli_core.log import LOGGER
from tasks.settings import Settings


@task(name="promote")
def promote(run_id: str, model: str) -> State[str]:
    """Make the run champion of `model` if it passes all checks; return the result in a sentence.

    A failed check does not fail the task: its state is named `Kept`, for the champion that stays.
    """
    from nli_core.evaluation.promotion_rules import Margins
    from tasks.models import champion as promotion

    done = promotion.promote(Settings.from_environment(), run_id, model=model, reason=None, margins=Margins())
    sentence = done.sentence
    LOGGER.info("promote: %s", sentence)
    return Completed(name="Promoted" if done.promoted else "Kept", message=sentence, data=sentence)
