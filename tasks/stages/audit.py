"""The task of the audit stage, which runs while a model is trained."""

from prefect import State, task

from nli_core.filenames import CORPUS
from nli_core.run.plan import StageRequest
from nli_core.store.claim import Claim
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import StageProgress
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage


@task(name="audit")
def audit(request: StageRequest) -> State[StageResult]:
    """Bring the corpus' baselines, give-away words and duplicates to the store."""
    corpus = request.upstream["corpus"]

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.audit.audit import audit as look

        names = corpus.facts["files"] | request.config.corpus.user_files
        with CancellationToken() as stop, StageProgress("audit", stop, quiet=True) as progress:
            return look(
                corpus.folder / CORPUS,
                request.config.corpus.layout,
                request.config.corpus.annotators,
                empty_text=request.config.pack.empty_text,
                out=claim.partial,
                progress=progress,
                names=names,
            )

    return run_stage("audit", request, work)
