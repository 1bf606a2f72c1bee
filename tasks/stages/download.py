"""The task of the download stage."""

from pathlib import Path
from typing import Any

from prefect import State, task

from nli_core.filenames import ENCODER
from nli_core.log import LOGGER
from nli_core.run.plan import StageRequest
from nli_core.store.claim import Claim
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import StageProgress
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage


@task(name="download")
def download(request: StageRequest) -> State[StageResult]:
    """Bring the corpus and the encoder to the store, verified."""
    config = request.config

    def work(claim: Claim, settings: Settings) -> dict[str, Any]:
        from nli_core.download.stage import download as download_files

        with CancellationToken() as stop, StageProgress("download", stop) as progress:
            facts = download_files(
                config.corpus, config.encoder, out=claim.partial, cache=settings.downloads, progress=progress
            )
        if config.encoder.is_pretrained:
            _check_encoder(Path(facts["encoder"]["source"]), claim.partial / ENCODER)
        if left_out := facts["encoder"]["left_out"]:
            LOGGER.info("download: left out of the checkpoint, for pretraining only: %s", ", ".join(left_out))
        return facts

    return run_stage("download", request, work)


def _check_encoder(source: Path, fetched: Path) -> None:
    """Load the encoder once, so that damaged files raise UserError now; of a local folder the error names itself.

    The task does this and not the core's stage, whose key would then cover the code of the model.
    """
    from nli_core.data.tokenize.trial import try_tokenizer
    from nli_core.model.weights import load_encoder

    folder = source if source.is_dir() else fetched
    encoder, _ = load_encoder(folder)
    try_tokenizer(folder, encoder.architecture.vocab_size)
