"""The task of the pack stage, and the task that packs one shard."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import State, task
from prefect.futures import as_completed, wait

from nli_core.filenames import CORPUS, ENCODER, TOKENIZER
from nli_core.model.families.registry import read_architecture
from nli_core.run.plan import StageRequest
from nli_core.store.claim import Claim
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import StageProgress
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage

if TYPE_CHECKING:
    from nli_core.data.shard_job import ShardFacts, ShardJob


@task(name="pack shard", task_run_name="pack {job.target.name}")
def pack_shard(job: "ShardJob") -> "ShardFacts":
    """Tokenize and write one shard."""
    from nli_core.data.pack_shard import pack_shard as write

    return write(job)


@task(name="pack")
def pack(request: StageRequest) -> State[StageResult]:
    """Turn the corpus into shards; the flow's task runner packs them in parallel."""
    corpus, encoder = request.upstream["corpus"], request.upstream["encoder"]

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.data.pack import pack as write_shards

        # Errors must name this config's files, not those of the run that filled the cache.
        names = corpus.facts["files"] | request.config.corpus.user_files
        return write_shards(
            corpus.folder / CORPUS,
            request.config.corpus.layout,
            encoder.folder / ENCODER,
            request.config.pack,
            out=claim.partial,
            run_jobs=_run_jobs,
            positions=read_architecture(encoder.folder / ENCODER).max_position_embeddings,
            names=names,
        )

    return run_stage("pack", request, work)


@task(name="pack challenges")
def pack_challenges(request: StageRequest) -> State[StageResult]:
    """Turn the challenge sets into shards, with the tokenizer that packed the corpus."""
    packed, fetched = request.upstream["pack"], request.upstream["challenges"]

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.data.pack_challenges import pack_challenges as write_shards

        challenges = request.config.challenges
        return write_shards(
            [challenge.table for challenge in challenges],
            fetched.folder,
            packed.folder / TOKENIZER,
            packed.facts["labels"],
            request.config.pack,
            out=claim.partial,
            run_jobs=_run_jobs,
            names={challenge.table.name: challenge.shown for challenge in challenges},
        )

    return run_stage("challenge_shards", request, work)


def _run_jobs(jobs: Sequence["ShardJob"]) -> list["ShardFacts"]:
    with CancellationToken() as stop, StageProgress("pack", stop) as progress:
        futures = [pack_shard.submit(job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(done, len(jobs), "shards")
        finally:
            wait(futures)  # after a fault or a cancellation too: nothing may write once the key is free
        return [future.result() for future in futures]
