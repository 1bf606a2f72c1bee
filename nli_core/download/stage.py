"""The download stage: a corpus and a pretrained encoder, verified, in one folder."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nli_core.config import CorpusConfig, EncoderConfig
from nli_core.download.corpora.registry import download_corpus
from nli_core.download.encoders.pretrained import download_encoder
from nli_core.filenames import CORPUS, ENCODER


def download(corpus: CorpusConfig, encoder: EncoderConfig, *, out: Path, cache: Path) -> dict[str, Any]:
    """Leave the corpus in `out/corpus` and the encoder in `out/encoder`; archives are kept in `cache`.

    Returns the facts: where each came from, its digest, and whether that digest was known beforehand.

    Raises:
        UserError: something cannot be had or is not what it should be.
    """
    shutil.rmtree(out)
    scratch = out / "scratch"
    for folder in (out / CORPUS, out / ENCODER, scratch):
        folder.mkdir(parents=True)
    origins = {
        "corpus": download_corpus(corpus, out=out / CORPUS, cache=cache, scratch=scratch),
        "encoder": download_encoder(encoder, out=out / ENCODER, cache=cache, scratch=scratch),
    }
    shutil.rmtree(scratch)
    return {name: asdict(origin) for name, origin in origins.items()}
