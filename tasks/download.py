"""The task of the download stage."""

from prefect import State, task

from nli_core.config import RunConfig
from nli_core.download.stage import download as download_files
from nli_core.plan import Outputs
from tasks.stage import StageResult, final_state, run_stage


@task(name="download", tags=["download"])
def download(config: RunConfig, upstream: Outputs, rerun: bool = False) -> State[StageResult]:
    """Have the corpus and the encoder in the store, verified."""
    return final_state(
        run_stage(
            "download",
            config,
            upstream,
            rerun,
            lambda claim, settings: download_files(
                config.corpus, config.encoder, out=claim.partial, cache=settings.downloads
            ),
        )
    )
