"""The task that ends a pipeline which may change the champion."""

from prefect import State, task
from prefect.states import Completed

from nli_core.log import LOGGER
from tasks.settings import Settings


@task(name="promote")
def promote(run_id: str, model: str) -> State[str]:
    """Make the run champion of `model` if the rules allow it; what became of it, in a sentence.

    A run that is stopped by a rule has not failed: its state is named `Kept`, for the champion that stays.
    """
    from nli_core.evaluation.promotion_rules import Margins
    from tasks.models import champion as promotion

    done = promotion.promote(Settings.from_environment(), run_id, model=model, reason=None, margins=Margins())
    sentence = promotion.told(done)
    LOGGER.info("promote: %s", sentence)
    return Completed(name="Promoted" if done.promoted else "Kept", message=sentence, data=sentence)
