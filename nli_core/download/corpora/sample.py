"""The sample corpus: sentence pairs that a small grammar generates, without a download."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from nli_core.config.base import Int
from nli_core.data.corpus.layout import SPLITS, CorpusLayout
from nli_core.download.corpora import sample_grammar
from nli_core.download.corpora.base import Corpus
from nli_core.download.origin import Origin
from nli_core.download.source import Source

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher


class SampleCorpus(Corpus):
    """Premise/hypothesis pairs that a small grammar in this project generates; needs no download."""

    licence: ClassVar[str | None] = "Apache-2.0, as this project"
    place: ClassVar[str | None] = None
    name: Literal["sample"] = "sample"
    pairs: Int = Field(4500, ge=90, le=1_000_000, description="pairs in train, dev and test together; a multiple of 3")
    seed: Int = Field(0, ge=0, lt=2**32, description="seed of the grammar's choices")

    @field_validator("pairs")
    @classmethod
    def _balanced(cls, pairs: int) -> int:
        if pairs % 3:
            raise ValueError("must be a multiple of 3, so that every hypothesis comes with each label")
        return pairs

    @property
    def has_pairs(self) -> bool:
        return True

    @property
    def layout(self) -> CorpusLayout:
        return CorpusLayout(
            format="jsonl",
            files={split: f"{split}.jsonl" for split in SPLITS},
            premise=("premise",),
            hypothesis="hypothesis",
            label="label",
            labels=sample_grammar.LABELS,
        )

    def identity(self) -> dict[str, Any]:
        return self.result_fields()

    def sources(self) -> Iterator[Source]:
        yield from ()

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        generated = sample_grammar.generate(self.pairs, self.seed)
        for split, file in self.layout.files.items():
            lines = [
                json.dumps({"premise": pair.premise, "hypothesis": pair.hypothesis, "label": pair.label})
                for pair in generated[split]
            ]
            (out / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Origin(source="generated", sha256=None, verified=True)
