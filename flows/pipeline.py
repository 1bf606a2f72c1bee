"""The pipeline: download → pack → finetune → evaluate."""

from collections.abc import Mapping

from prefect import State, Task, flow
from prefect.exceptions import CancelledRun

from flows.lifecycle import cancelled, ends, lifetime, shard_workers
from flows.names import run_name
from flows.summary import RunSummary, summarize
from nli_core.config import OutputKind, Stage
from nli_core.errors import UserError
from nli_core.run.changes import UNCHANGED, Changes
from nli_core.run.config import RunConfig
from nli_core.run.plan import StageRequest, kinds_until, stage_of
from tasks.cluster.connection import check_place
from tasks.models.names import check_model_name
from tasks.settings import Settings
from tasks.stages.base import StageResult
from tasks.stages.download import download_corpus, download_encoder
from tasks.stages.evaluate import evaluate
from tasks.stages.finetune import finetune
from tasks.stages.pack import pack
from tasks.stages.promote import promote

CHAIN: Mapping[OutputKind, Task[[StageRequest], State[StageResult]]] = {
    "corpus": download_corpus,  # its files, verified
    "encoder": download_encoder,  # its files, verified
    "pack": pack,  # text to Arrow shards of examples
    "finetune": finetune,  # shards and encoder to a model, tracked in MLflow
    "evaluate": evaluate,  # model and shards to metrics, predictions and figures
}


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
        rerun: Stages to run again, and with them every stage after.
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
    results: dict[OutputKind, StageResult] = {}
    promotion, forced = None, False
    try:
        with lifetime():
            for kind in kinds_until(until):
                forced = forced or stage_of(kind) in (rerun or ())
                upstream = {earlier: result.output for earlier, result in results.items()}
                results[kind] = CHAIN[kind](StageRequest(config, recipe, upstream, forced)).result()
            if promote_as:
                promotion = promote(str(results["evaluate"].mlflow_run_id), promote_as).result()
    except CancelledRun as stopped:
        return cancelled(RunSummary, stopped)
    return summarize(recipe, results, promotion)
