"""What all stage tasks share: claim the key, reuse or work, and end in a state that says which.

The tasks import the core's stages and MLflow where the work is done, so that a run whose stages are all cached starts
without them, torch, matplotlib and the like.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect import State
from prefect.states import Completed

from nli_core.config import RunConfig, Stage
from nli_core.plan import Outputs, ingredients
from nli_core.store import Claim, Output
from tasks.progress import LOGGER
from tasks.settings import Settings

CACHED = "Cached"


@dataclass(frozen=True)
class StageResult:
    """A stage's output, whether it was there already, and from finetune on the run of MLflow that holds it."""

    stage: Stage
    output: Output
    cached: bool
    seconds: float
    mlflow_run_id: str | None = None

    @property
    def state_name(self) -> str:
        return CACHED if self.cached else "Completed"


def run_stage(
    stage: Stage,
    config: RunConfig,
    upstream: Outputs,
    rerun: bool,
    work: Callable[[Claim, Settings], Mapping[str, Any]],
) -> StageResult:
    """Reuse the output of these ingredients, or let `work` fill the claim's partial folder and return the facts."""
    settings, started = Settings.from_environment(), time.monotonic()
    made_from = ingredients(stage, config, upstream)
    with settings.store.claim(stage, made_from, force=rerun, say=LOGGER.info) as claim:
        output = claim.done or claim.complete(work(claim, settings))
        return StageResult(stage, output, claim.done is not None, round(time.monotonic() - started, 3))


def final_state(result: StageResult) -> State[StageResult]:
    """The task run's state: named `Cached` when nothing was done."""
    LOGGER.info("%s: %s in %.1f s (%s)", result.stage, result.state_name, result.seconds, result.output.key[:12])
    message = f"{result.output.folder}"
    return (
        Completed(name=CACHED, message=message, data=result)
        if result.cached
        else Completed(message=message, data=result)
    )
