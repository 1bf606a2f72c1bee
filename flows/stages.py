"""Each stage as a flow of its own, for reruns from a worker or the Prefect UI.

A stage flow reads the outputs of the stages before it from the store, by the same configuration. It does not run them.
A missing input raises an error that names the stage to run.
"""

from prefect import flow
from prefect.exceptions import CancelledRun

from flows.lifecycle import cancelled, ends, lifetime, shard_workers
from flows.pipeline import CHAIN, quoted
from flows.summary import RunSummary, summarize
from nli_core.config import OutputKind, Stage
from nli_core.run.config import RunConfig
from nli_core.run.kinds import kinds_of
from nli_core.run.plan import StageRequest, finished_upstream
from tasks.runtime.sharing import pulled_from_bucket
from tasks.settings import Settings
from tasks.stages.base import StageResult


def _run_alone(stage: Stage, config: RunConfig, recipe: str, rerun: bool) -> RunSummary:
    try:
        with lifetime():
            settings = Settings.from_environment()
            upstream = finished_upstream(stage, config, settings.store, pulled_from_bucket(settings))
            results: dict[OutputKind, StageResult] = {}
            for kind in kinds_of(stage, config):
                made = {made: result.output for made, result in results.items()}
                request = StageRequest(config, recipe, upstream | made, rerun)
                results[kind] = CHAIN[kind](quoted(request)).result()
            return summarize(recipe, results, config.evaluate.requirements)
    except CancelledRun as stopped:
        return cancelled(RunSummary, stopped)


@flow(name="download-stage", flow_run_name="download {recipe}", **ends)
def download_stage(config: RunConfig, recipe: str = "custom", rerun: bool = False) -> RunSummary:
    """Fetch and verify the corpus and the encoder."""
    return _run_alone("download", config, recipe, rerun)


@flow(name="pack-stage", flow_run_name="pack {recipe}", task_runner=shard_workers(), **ends)
def pack_stage(config: RunConfig, recipe: str = "custom", rerun: bool = False) -> RunSummary:
    """Tokenize and pack a downloaded corpus."""
    return _run_alone("pack", config, recipe, rerun)


@flow(name="finetune-stage", flow_run_name="finetune {recipe}", **ends)
def finetune_stage(config: RunConfig, recipe: str = "custom", rerun: bool = False) -> RunSummary:
    """Fine-tune on packed shards."""
    return _run_alone("finetune", config, recipe, rerun)


@flow(name="audit-stage", flow_run_name="audit {recipe}", **ends)
def audit_stage(config: RunConfig, recipe: str = "custom", rerun: bool = False) -> RunSummary:
    """Look for duplicates, give-away words and baselines in a downloaded corpus."""
    return _run_alone("audit", config, recipe, rerun)


@flow(name="evaluate-stage", flow_run_name="evaluate {recipe}", **ends)
def evaluate_stage(config: RunConfig, recipe: str = "custom", rerun: bool = False) -> RunSummary:
    """Measure a fine-tuned model on dev and test."""
    return _run_alone("evaluate", config, recipe, rerun)
