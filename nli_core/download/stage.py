"""The download stage: a corpus and a pretrained encoder, verified, in one folder."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nli_core.callbacks import Progress, no_progress
from nli_core.download.corpora.base import Corpus
from nli_core.download.encoders.base import Encoder
from nli_core.download.fetch import Fetcher
from nli_core.filenames import CORPUS, ENCODER


def download(
    corpus: Corpus, encoder: Encoder, *, out: Path, cache: Path, progress: Progress = no_progress
) -> dict[str, Any]:
    """Leave the corpus in `out/corpus` and the encoder in `out/encoder`; keep archives in `cache`.

    Returns the facts: where each came from, its digest, and whether that digest was known beforehand.

    Raises:
        UserError: a file cannot be fetched, or is not what it should be.
    """
    shutil.rmtree(out)
    scratch = out / "scratch"
    for folder in (out / CORPUS, out / ENCODER, scratch):
        folder.mkdir(parents=True)
    fetcher = Fetcher(cache, scratch, progress)
    origins = {
        "corpus": corpus.download(out / CORPUS, fetcher),
        "encoder": encoder.download(out / ENCODER, fetcher),
    }
    shutil.rmtree(scratch)
    return {name: asdict(origin) for name, origin in origins.items()}
