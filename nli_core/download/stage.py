"""The download stage: a corpus, or a pretrained encoder, verified."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nli_core.callbacks import Progress, no_progress
from nli_core.download.corpora.base import Corpus
from nli_core.download.encoders.base import Encoder
from nli_core.download.fetch import Fetcher
from nli_core.filenames import CORPUS, ENCODER


def download(wanted: Corpus | Encoder, *, out: Path, cache: Path, progress: Progress = no_progress) -> dict[str, Any]:
    """Leave a corpus in `out/corpus`, or an encoder in `out/encoder`; keep archives in `cache`.

    Returns the facts: where it came from, its digest, and whether that digest was known beforehand.

    Raises:
        UserError: a file cannot be fetched, or is not what it should be.
    """
    shutil.rmtree(out)
    files, scratch = out / (CORPUS if isinstance(wanted, Corpus) else ENCODER), out / "scratch"
    for folder in (files, scratch):
        folder.mkdir(parents=True)
    origin = wanted.download(files, Fetcher(cache, scratch, progress))
    shutil.rmtree(scratch)
    return asdict(origin)
