"""The tasks of the download stage: one for the corpus, one for the encoder, each with an output of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import State, task

from nli_core.config import OutputKind
from nli_core.download.corpora.base import Corpus
from nli_core.download.encoders.base import Encoder
from nli_core.filenames import ENCODER
from nli_core.log import LOGGER
from nli_core.run.plan import StageRequest
from nli_core.store.claim import Claim
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import StageProgress
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage


@task(name="download corpus")
def download_corpus(request: StageRequest) -> State[StageResult]:
    """Bring the corpus to the store, verified."""
    return run_stage("corpus", request, _work("corpus", request.config.corpus))


@task(name="download encoder")
def download_encoder(request: StageRequest) -> State[StageResult]:
    """Bring the encoder to the store, verified."""
    encoder = request.config.encoder
    fetch = _work("encoder", encoder)

    def work(claim: Claim, settings: Settings) -> dict[str, Any]:
        facts = fetch(claim, settings)
        if encoder.is_pretrained:
            _check_encoder(Path(facts["source"]), claim.partial / ENCODER)
        if left_out := facts["left_out"]:
            LOGGER.info("encoder: left out of the checkpoint, for pretraining only: %s", ", ".join(left_out))
        return facts

    return run_stage("encoder", request, work)


@task(name="download challenges")
def download_challenges(request: StageRequest) -> State[StageResult]:
    """Bring the files of the challenge sets to the store, verified."""

    def work(claim: Claim, settings: Settings) -> dict[str, Any]:
        from nli_core.download.challenges.download import download_challenges as fetch

        with CancellationToken() as stop, StageProgress("challenges", stop) as progress:
            return fetch(request.config.challenges, out=claim.partial, cache=settings.downloads, progress=progress)

    return run_stage("challenges", request, work)


def _work(kind: OutputKind, wanted: Corpus | Encoder) -> Callable[[Claim, Settings], dict[str, Any]]:
    def work(claim: Claim, settings: Settings) -> dict[str, Any]:
        from nli_core.download.stage import download

        with CancellationToken() as stop, StageProgress(kind, stop) as progress:
            return download(wanted, out=claim.partial, cache=settings.downloads, progress=progress)

    return work


def _check_encoder(source: Path, fetched: Path) -> None:
    """Load the encoder once, so that damaged files raise UserError now; of a local folder the error names itself.

    The task does this and not the core's stage, whose key would then cover the code of the model.
    """
    from nli_core.data.tokenize.trial import try_tokenizer
    from nli_core.model.weights import load_encoder

    folder = source if source.is_dir() else fetched
    encoder, _ = load_encoder(folder)
    try_tokenizer(folder, encoder.architecture.vocab_size, encoder.architecture.padding_id)
