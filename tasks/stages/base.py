"""What all stage tasks share: claim the key, reuse or work, and end in a state that says which.

The tasks import the core's stages and MLflow where the work is done, so that a run whose stages are all cached starts
without them, torch, matplotlib and the like.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from prefect import State
from prefect.states import Cancelled, Completed

from nli_core.callbacks import StoppedError
from nli_core.config import RunConfig, Stage
from nli_core.run.plan import Outputs, ingredients, stage_code
from nli_core.store.manifest import Output
from nli_core.store.store import Claim
from tasks.runtime.cancellation import StopRequest
from tasks.runtime.progress import LOGGER
from tasks.runtime.provenance import made_with
from tasks.settings import Settings
from tasks.tracking.sqlite_lookup import RunLink

CACHED = "Cached"


@dataclass(frozen=True)
class StageResult:
    """A stage's output, whether it was there already, and from finetune on the run of MLflow that holds it."""

    stage: Stage
    output: Output
    cached: bool
    seconds: float
    run: RunLink | None = None

    @property
    def mlflow_run_id(self) -> str | None:
        return self.run.run_id if self.run else None

    @property
    def state_name(self) -> str:
        return CACHED if self.cached else "Completed"


def run_stage(
    stage: Stage,
    config: RunConfig,
    upstream: Outputs,
    rerun: bool,
    work: Callable[[Claim, Settings], Mapping[str, Any]],
    publish: Callable[[Settings, Output], RunLink] | None = None,
) -> State[StageResult]:
    """Reuse the output of these ingredients, or let `work` fill the claim's partial folder and return the facts.

    `publish` has MLflow hold the output. The state says what was done: it is named `Cached` when that was nothing, and
    Cancelled when the work was asked to stop.
    """
    settings, started = Settings.from_environment(), time.monotonic()
    made_from = ingredients(stage, config, upstream)
    try:
        with ExitStack() as stack:
            with StopRequest() as stop:  # while another run is waited for
                claiming = settings.store.claim(stage, made_from, force=rerun, say=LOGGER.info, should_stop=stop)
                claim = stack.enter_context(claiming)
            output = claim.done or claim.complete(
                work(claim, settings), made_with() | {"definitions": stage_code(stage).definitions}
            )
            cached, seconds = claim.done is not None, round(time.monotonic() - started, 3)
    except StoppedError as stopped:
        return Cancelled(message=str(stopped))
    run = publish(settings, output) if publish else None
    result = StageResult(stage, output, cached, seconds, run)
    LOGGER.info("%s: %s in %.1f s (%s)", stage, result.state_name, seconds, output.key[:12])
    return Completed(name=result.state_name, message=str(output.folder), data=result)
