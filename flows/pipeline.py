"""The pipeline: download → pack → finetune → evaluate, with audit beside finetune."""

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from prefect import State, Task, flow
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture, wait
from prefect.utilities.annotations import quote

from flows.lifecycle import cancelled, ends, lifetime, shard_workers
from flows.names import run_name
from flows.summary import RunSummary, summarize
from nli_core.config import OutputKind, Stage
from nli_core.errors import UserError
from nli_core.run.changes import UNCHANGED, Changes
from nli_core.run.config import RunConfig
from nli_core.run.kinds import kinds_again, kinds_until, upstream_of
from nli_core.run.plan import StageRequest
from tasks.cluster.connection import check_place
from tasks.models.names import check_model_name
from tasks.runtime.cancellation import CancellationToken, stop_all
from tasks.settings import Settings
from tasks.stages.audit import audit
from tasks.stages.base import StageResult
from tasks.stages.download import download_challenges, download_corpus, download_encoder
from tasks.stages.evaluate import evaluate
from tasks.stages.finetune import finetune
from tasks.stages.pack import pack, pack_challenges
from tasks.stages.promote import promote

CHAIN: Mapping[OutputKind, Task[[StageRequest], State[StageResult]]] = {
    "corpus": download_corpus,  # its files, verified
    "encoder": download_encoder,  # its files, verified
    "challenges": download_challenges,  # files of the test sets beside the corpus' own
    "pack": pack,  # text to Arrow shards of examples
    "challenge_shards": pack_challenges,  # the same of these test sets
    "audit": audit,  # text to baselines and duplicates, while a model is trained
    "finetune": finetune,  # shards and encoder to a model, tracked in MLflow
    "evaluate": evaluate,  # model and shards to metrics, predictions and figures
}

BESIDE: tuple[OutputKind, ...] = ("audit",)
"""What is made in a thread, while the flow continues until it needs it."""


@flow(name="pipeline", flow_run_name=run_name, task_runner=shard_workers(), **ends)
def pipeline(
    *,
    recipe: str = "custom",
    changes: Changes = UNCHANGED,
    rerun: list[Stage] | None = None,
    until: Stage = "evaluate",
    promote_as: str | None = None,
    config: RunConfig,
) -> RunSummary:
    """Run every stage up to `until`; reuse the output of each stage that is cached.

    Args:
        recipe: The recipe's name, for runs and artifacts.
        changes: What people change most; what is empty stays as in the configuration.
        rerun: Stages to run again, and with them all that is made from what they leave.
        until: The last stage.
        promote_as: A name in the registry, such as nli-snli. The run becomes its champion if it is better by the rules.
        config: Everything; `nli config` lists the fields.

    Raises:
        UserError: a fault that the user can fix.
    """
    config = changes.applied(config)
    if promote_as:
        check_model_name(promote_as)
    if promote_as and until != "evaluate":
        raise UserError(f"promote_as: only an evaluated run can be champion; leave out until={until}")
    check_place(Settings.from_environment(), config.finetune.devices)
    promotion = None
    try:
        with lifetime():
            results = _run_stages(config, recipe, kinds_until(until, config), kinds_again(rerun or ()))
            if promote_as:
                promotion = promote(str(results["evaluate"].mlflow_run_id), promote_as).result()
    except CancelledRun as stopped:
        return cancelled(RunSummary, stopped)
    return summarize(recipe, results, config.evaluate.requirements, promotion)


def _run_stages(
    config: RunConfig, recipe: str, kinds: Sequence[OutputKind], again: Collection[OutputKind]
) -> dict[OutputKind, StageResult]:
    """Make the outputs in their order; wait for one of `BESIDE` where it is needed, or at the end."""
    results: dict[OutputKind, StageResult] = {}
    beside: dict[OutputKind, PrefectFuture[State[StageResult]]] = {}
    try:
        for kind in kinds:
            for needed in [other for other in upstream_of(kind, config) if other in beside]:
                results[needed] = _wait(beside.pop(needed))
            upstream = {earlier: result.output for earlier, result in results.items()}
            request = StageRequest(config, recipe, upstream, kind in again)
            if kind in BESIDE:
                beside[kind] = CHAIN[kind].submit(quoted(request))
            else:
                results[kind] = CHAIN[kind](quoted(request)).result()
        results |= {kind: _wait(future) for kind, future in beside.items()}
    except BaseException:
        stop_all()
        wait(list(beside.values()))  # nothing may write once the flow run has ended
        raise
    return {kind: results[kind] for kind in kinds}


def quoted(request: StageRequest) -> StageRequest:
    """Keep Prefect from searching a request for futures: there are none, and it takes 10 ms a stage."""
    return cast(StageRequest, quote(request))


def _wait(future: PrefectFuture[State[StageResult]]) -> StageResult:
    with CancellationToken():  # a signal stops the other thread first
        future.wait()
        result: StageResult = future.state.result()
        return result
