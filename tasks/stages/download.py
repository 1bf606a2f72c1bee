"""The task of the download stage."""

from pathlib import Path
from typing import Any

from prefect import State, task

from nli_core.config import PretrainedEncoder, RunConfig
from nli_core.filenames import ENCODER
from nli_core.run.plan import Outputs
from nli_core.store.store import Claim
from tasks.runtime.progress import LOGGER
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage


@task(name="download")
def download(config: RunConfig, upstream: Outputs, rerun: bool = False) -> State[StageResult]:
    """Have the corpus and the encoder in the store, verified."""

    def work(claim: Claim, settings: Settings) -> dict[str, Any]:
        from nli_core.download.stage import download as download_files

        facts = download_files(config.corpus, config.encoder, out=claim.partial, cache=settings.downloads)
        if isinstance(config.encoder, PretrainedEncoder):
            _check_weights(Path(facts["encoder"]["source"]), claim.partial / ENCODER)
        if left_out := facts["encoder"]["left_out"]:
            LOGGER.info("download: left out of the checkpoint, for pretraining only: %s", ", ".join(left_out))
        return facts

    return run_stage("download", config, upstream, rerun, work)


def _check_weights(source: Path, fetched: Path) -> None:
    """Raises UserError if the encoder cannot be loaded: now, and not after packing. A local folder is named itself.

    Done here and not in the core's stage, whose output would then depend on the code of the model.
    """
    from nli_core.model.weights import load_encoder

    load_encoder(source if source.is_dir() else fetched)
