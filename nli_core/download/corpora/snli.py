"""SNLI: the Stanford Natural Language Inference corpus."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from nli_core.config.base import NOT_IN_KEY, Sha256
from nli_core.data.corpus.layout import SPLITS, CorpusLayout
from nli_core.download import archives
from nli_core.download.corpora.base import Corpus, contents_of
from nli_core.download.origin import Origin
from nli_core.download.source import Source
from nli_core.hashing import file_sha256
from nli_core.urls import without_password

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher

SNLI_ADDRESS = "https://nlp.stanford.edu/projects/snli/snli_1.0.zip"
SNLI_SHA256 = "afb3d70a5af5d8de0d9d81e2637e0fb8c22d1235c2749d83125ca43dab0dbd3e"
# The order of labels is Dive into Deep Learning's (15.4): entailment 0, contradiction 1, neutral 2.
SNLI_LAYOUT = CorpusLayout(
    format="raw_tsv",
    files={split: f"snli_1.0_{split}.txt" for split in SPLITS},
    premise=("sentence1",),
    hypothesis="sentence2",
    label="gold_label",
    premise_parse="sentence1_binary_parse",
    hypothesis_parse="sentence2_binary_parse",
    labels=("entailment", "contradiction", "neutral"),
    drop_labels=("-",),
)
_REMEDY = "point corpus.source=... at a good copy (and corpus.sha256=... at its digest)"


class SnliCorpus(Corpus):
    """The Stanford Natural Language Inference corpus, release 1.0 (Bowman et al., 2015)."""

    annotators: ClassVar[tuple[str, ...]] = tuple(f"label{number}" for number in range(1, 6))
    licence: ClassVar[str | None] = "CC BY-SA 4.0"
    name: Literal["snli"] = "snli"
    source: str | None = Field(
        None,
        min_length=1,
        description="address (https, s3) or path of an archive laid out like the release; empty: the release itself",
        json_schema_extra=NOT_IN_KEY,
    )
    sha256: Sha256 | None = Field(None, description="digest that the archive of `source` must have; empty: unverified")

    @property
    def has_pairs(self) -> bool:
        return True

    @property
    def layout(self) -> CorpusLayout:
        return SNLI_LAYOUT

    def identity(self) -> dict[str, Any]:
        identity = {**self.result_fields(), "sha256": self._expected_sha256()}
        if identity["sha256"] is None and self.source is not None:
            identity["source"] = contents_of(self.source, "corpus.source")
        return identity

    def sources(self) -> Iterator[Source]:
        yield Source("SNLI", self.source or SNLI_ADDRESS, "corpus.source")

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        address, sha256 = self.source or SNLI_ADDRESS, self._expected_sha256()
        archive = fetcher.fetch(address, digest=sha256, remedy=_REMEDY)
        archives.extract(archive, SNLI_LAYOUT.files.values(), out, remedy=_REMEDY)
        digest = file_sha256(archive)
        return Origin(source=without_password(address), sha256=digest, verified=sha256 is not None)

    def _expected_sha256(self) -> str | None:
        return SNLI_SHA256 if self.source is None and self.sha256 is None else self.sha256
