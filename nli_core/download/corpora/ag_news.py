"""AG News: the topic of a title and a description."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from nli_core.config.base import NOT_IN_KEY, Fraction, Int, Sha256
from nli_core.data.corpus.layout import CorpusLayout, Split
from nli_core.download.corpora.base import Corpus, contents_of
from nli_core.download.origin import Origin
from nli_core.download.source import Source
from nli_core.errors import UserError
from nli_core.hashing import file_sha256
from nli_core.paths import user_path
from nli_core.urls import is_bucket, is_remote, without_password

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher

# From the repository of Zhang et al. (2015). The digests are those of the files there.
AG_NEWS_ADDRESS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
AG_NEWS_SHA256 = {
    "train": "76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e",
    "test": "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
}
AG_NEWS_LABELS = ("World", "Sports", "Business", "Sci/Tech")
_REMEDY = "point corpus.source=... at a folder with good copies (corpus.train and corpus.test name the files)"


class AgNewsCorpus(Corpus):
    """AG News (Zhang et al., 2015): the topic of a title and a description. Dev is carved from train."""

    licence: ClassVar[str | None] = "for research and non-commercial use"
    name: Literal["ag-news"] = "ag-news"
    source: str | None = Field(
        None,
        min_length=1,
        description="http(s) address or local path of a folder with the two files; empty: the published ones",
        json_schema_extra=NOT_IN_KEY,
    )
    train: str = Field(
        "train.csv",
        min_length=1,
        description="name of the train file in the folder",
        json_schema_extra=NOT_IN_KEY,
    )
    test: str = Field(
        "test.csv", min_length=1, description="name of the test file in the folder", json_schema_extra=NOT_IN_KEY
    )
    train_sha256: Sha256 | None = Field(None, description="digest that the train file of `source` must have")
    test_sha256: Sha256 | None = Field(None, description="digest that the test file of `source` must have")
    dev_fraction: Fraction = Field(0.05, gt=0, description="part of train, by class, that becomes dev")
    carve_seed: Int = Field(0, ge=0, lt=2**32, description="seed of the choice of dev examples")

    @property
    def has_pairs(self) -> bool:
        return False

    @property
    def layout(self) -> CorpusLayout:
        return CorpusLayout(
            format="csv",
            files={"train": "train.csv", "test": "test.csv"},
            columns=("class", "title", "description"),
            premise=("title", "description"),
            hypothesis=None,
            label="class",
            labels=AG_NEWS_LABELS,
            label_values=("1", "2", "3", "4"),
            carve={"dev": self.dev_fraction},
            carve_seed=self.carve_seed,
        )

    def identity(self) -> dict[str, Any]:
        files = self._files().items()
        return {split: sha256 or contents_of(address, f"corpus.{split}") for split, (address, sha256) in files}

    def sources(self) -> Iterator[Source]:
        yield Source("AG News, train", f"{self._folder()}/{self.train}", "corpus.source")
        yield Source("AG News, test", f"{self._folder()}/{self.test}", "corpus.source")

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        """Leave a headerless CSV file for each split: class number from 1, title, description."""
        verified, files = True, self._files()
        for split, (address, sha256) in files.items():
            fetched = fetcher.fetch(address, digest=sha256, remedy=_REMEDY)
            shutil.copyfile(fetched, out / self.layout.files[split])
            verified = verified and file_sha256(fetched) == (sha256 or AG_NEWS_SHA256[split])
        names = {split: without_password(address) for split, (address, _) in files.items()}
        return Origin(source=without_password(self._folder()), sha256=None, verified=verified, files=names)

    def _folder(self) -> str:
        return (self.source or AG_NEWS_ADDRESS).rstrip("/")

    def _files(self) -> dict[Split, tuple[str, str | None]]:
        """Return the address or path of each file, and the digest that it must have."""
        folder = self._folder()
        if not (is_remote(folder) or is_bucket(folder)) and not user_path(folder).is_dir():
            raise UserError(f"corpus.source: there is no folder {folder}; give one with {self.train} and {self.test}")
        given: dict[Split, tuple[str, str | None]] = {
            "train": (self.train, self.train_sha256),
            "test": (self.test, self.test_sha256),
        }
        return {
            split: (f"{folder}/{name}", sha256 or (AG_NEWS_SHA256[split] if self.source is None else None))
            for split, (name, sha256) in given.items()
        }
