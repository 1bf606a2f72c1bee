"""The task of the pack stage, and the tasks that it hands its shards to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import State, task
from prefect.futures import as_completed

from nli_core.config import FileCorpus, RunConfig
from nli_core.filenames import CORPUS, ENCODER
from nli_core.run.plan import Outputs
from nli_core.store.store import Claim
from tasks.runtime.cancellation import StopRequest
from tasks.runtime.progress import StageProgress
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage

if TYPE_CHECKING:
    from nli_core.data.pack import ShardFacts, ShardJob


@task(name="pack shard", task_run_name="pack {job.target.name}")
def pack_shard(job: "ShardJob") -> "ShardFacts":
    """Tokenize and write one shard."""
    from nli_core.data.pack import pack_shard as write

    return write(job)


@task(name="pack")
def pack(config: RunConfig, upstream: Outputs, rerun: bool = False) -> State[StageResult]:
    """Have the corpus in the store as shards, packed in parallel by the flow's task runner."""
    files = upstream["download"].folder

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.data.pack import pack as write_shards

        # A cached download may have had its files from elsewhere.
        given = config.corpus.files if isinstance(config.corpus, FileCorpus) else {}
        names = upstream["download"].facts["corpus"]["files"] | given
        return write_shards(
            files / CORPUS, files / ENCODER, config.pack, out=claim.partial, run_jobs=_run_jobs, names=names
        )

    return run_stage("pack", config, upstream, rerun, work)


def _run_jobs(jobs: Sequence["ShardJob"]) -> list["ShardFacts"]:
    with StopRequest() as stop, StageProgress("pack", stop) as progress:
        futures = [pack_shard.submit(job) for job in jobs]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()  # a fault in one shard need not wait for the others
            progress(done, len(jobs), "shards")
        return [future.result() for future in futures]
