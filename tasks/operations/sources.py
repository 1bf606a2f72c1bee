"""Where the corpora and encoders of configs come from, and whether they can be had, without fetching them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from huggingface_hub import HfApi, get_token

from nli_core.config import AgNewsCorpus, D2lEncoder, FileCorpus, PretrainedEncoder, RunConfig, SnliCorpus
from nli_core.download.corpora.registry import AG_NEWS_ADDRESS, SNLI_ADDRESS
from nli_core.download.encoders.d2l import D2L_ADDRESS
from nli_core.errors import UserError
from nli_core.urls import is_remote, without_password

_PATIENCE = 5  # seconds


@dataclass(frozen=True)
class Source:
    """An address or a path, what it is for, and the field that names another."""

    what: str
    place: str
    field: str
    on_hub: bool = False

    def check(self) -> None:
        """Ask for it, and read no further than that it is there.

        Raises:
            UserError: there is no such path, or the server does not answer or does not have it.
        """
        if not is_remote(self.place):
            if not Path(self.place).expanduser().exists():
                raise UserError(f"there is no {self.place}")
            return
        token = get_token() if self.on_hub else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with requests.get(self.place, headers=headers, stream=True, timeout=_PATIENCE) as answer:
                status = answer.status_code
        except requests.RequestException as error:
            raise UserError(f"{without_password(self.place)}: no connection ({type(error).__name__})") from None
        if status >= 400:
            raise UserError(f"{without_password(self.place)}: the server answers HTTP {status}")


def sources(config: RunConfig) -> Iterator[Source]:
    """What download would fetch or copy; not what is installed."""
    corpus, encoder = config.corpus, config.encoder
    if isinstance(corpus, SnliCorpus):
        yield Source("SNLI", corpus.source or SNLI_ADDRESS, "corpus.source")
    elif isinstance(corpus, AgNewsCorpus):
        folder = (corpus.source or AG_NEWS_ADDRESS).rstrip("/")
        yield Source("AG News, train", f"{folder}/{corpus.train}", "corpus.source")
        yield Source("AG News, test", f"{folder}/{corpus.test}", "corpus.source")
    elif isinstance(corpus, FileCorpus):
        yield from (Source(f"file, {split}", path, f"corpus.{split}") for split, path in corpus.files.items())
    if isinstance(encoder, D2lEncoder):
        published = f"{D2L_ADDRESS}/{encoder.name.removeprefix('d2l:')}.torch.zip"
        yield Source(encoder.name, encoder.source or published, "encoder.source")
    elif isinstance(encoder, PretrainedEncoder) and encoder.source and not is_remote(encoder.source):
        yield Source(encoder.name, encoder.source, "encoder.source")
    elif isinstance(encoder, PretrainedEncoder) and encoder.name.startswith("hf:"):
        repository, _, revision = encoder.name.removeprefix("hf:").partition("@")
        file = f"{HfApi(endpoint=encoder.source).endpoint}/{repository}/resolve/{revision}/config.json"
        yield Source(encoder.name.partition("@")[0], file, "encoder.source", on_hub=True)
