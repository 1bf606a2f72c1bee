"""What all stage tasks share: lock the key, reuse or work, and end in a state that says which.

The tasks import the core's stages and MLflow only where the work is done. So a run whose stages are all cached starts
without them, torch and matplotlib.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

from prefect import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from nli_core.callbacks import StoppedError
from nli_core.config import OutputKind
from nli_core.errors import explained_refusals
from nli_core.log import LOGGER
from nli_core.run.plan import StageRequest, code_behind, key_inputs
from nli_core.store.claim import Claim
from nli_core.store.manifest import Output
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.liveness import register_use
from tasks.runtime.provenance import made_with
from tasks.runtime.sharing import is_unpushed, pull_output, push_output
from tasks.settings import Settings
from tasks.tracking.tags import RunLink

StateName = Literal["Completed", "Cached", "Pulled"]
Publish = Callable[[Settings, Output], RunLink]
"""Brings an output to the MLflow run of its training."""


@dataclass(frozen=True)
class StageResult:
    """An output of a stage, whether it was made or reused, and from finetune on the MLflow run that holds it."""

    kind: OutputKind
    output: Output
    state_name: StateName
    seconds: float
    run: RunLink | None = None

    @property
    def mlflow_run_id(self) -> str | None:
        """The id of the MLflow run, if there is one."""
        return self.run.run_id if self.run else None

    @property
    def is_reused(self) -> bool:
        """Whether the output was in the store or in the bucket before."""
        return self.state_name != "Completed"


def run_stage(
    kind: OutputKind,
    request: StageRequest,
    work: Callable[[Claim, Settings], Mapping[str, Any]],
    publish: Publish | None = None,
) -> State[StageResult]:
    """Reuse the output with this request's key, or let `work` fill the claim's partial folder and return the facts.

    The state is named `Cached` for a reused output, `Pulled` for one from the bucket, and is Cancelled when the work
    was asked to stop.
    """
    settings, started = Settings.from_environment(), time.monotonic()
    try:
        with explained_refusals(), ExitStack() as stack:
            inputs = key_inputs(kind, request.config, request.upstream)
            with CancellationToken() as stop:  # while another run holds the key
                claiming = settings.store.claim(kind, inputs, force=request.rerun, should_stop=stop)
                claim = stack.enter_context(claiming)
            register_use(settings, str(flow_run.id), [claim.key, *(each.key for each in request.upstream.values())])
            output, state = _obtain(kind, request, claim, work, settings)
            seconds = round(time.monotonic() - started, 3)
        run = _published(kind, request, output, settings, publish) if publish else None
    except StoppedError as stopped:
        return Cancelled(message=str(stopped))
    result = StageResult(kind, output, state, seconds, run)
    LOGGER.info("%s: %s in %.1f s (%s)", kind, result.state_name, seconds, output.key[:12])
    return Completed(name=result.state_name, message=str(output.folder), data=result)


def _obtain(
    kind: OutputKind,
    request: StageRequest,
    claim: Claim,
    work: Callable[[Claim, Settings], Mapping[str, Any]],
    settings: Settings,
) -> tuple[Output, StateName]:
    with CancellationToken() as stop:  # while files move; the work has its own
        if claim.done:
            output = claim.done
            if is_unpushed(settings, kind, claim.key):
                output = push_output(settings, claim, output, stop, replace=False)
            return output, "Cached"
        if not request.rerun and (pulled := pull_output(settings, claim, stop)):
            return pulled, "Pulled"
    output = claim.complete(work(claim, settings), _made_with(kind, request))
    with CancellationToken() as stop:
        return push_output(settings, claim, output, stop, replace=request.rerun), "Completed"


def _published(
    kind: OutputKind, request: StageRequest, output: Output, settings: Settings, publish: Publish
) -> RunLink:
    """Publish while no other run of this store does, which then finds the work done."""
    trained = request.upstream.get("finetune", output)
    waiting = f"{kind}: waiting for another run that writes to the same MLflow run"
    with ExitStack() as stack:
        with CancellationToken() as stop:
            stack.enter_context(settings.store.lock(f"mlflow-{trained.key}", waiting, stop))
        return publish(settings, output)


def _made_with(kind: OutputKind, request: StageRequest) -> dict[str, Any]:
    return made_with() | {"definitions": code_behind(kind, request.config, request.upstream).definitions}
