"""The user's own files as a corpus."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from nli_core.config.base import NOT_IN_KEY, Fraction, Int
from nli_core.data.corpus.layout import CorpusLayout, Split, format_of
from nli_core.download.archives import gunzip
from nli_core.download.corpora.base import Corpus, contents_of, existing_file
from nli_core.download.origin import Origin
from nli_core.download.source import Source
from nli_core.errors import UserError
from nli_core.paths import user_path
from nli_core.urls import is_bucket

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher

_PACKED = ".gz"


class FileCorpus(Corpus):
    """The user's own CSV, TSV, JSONL or Parquet files, plain or gzipped."""

    is_published: ClassVar[bool] = False
    name: Literal["file"] = "file"
    train: str = Field(
        description="path of the training examples, or address in a bucket (s3://...)", json_schema_extra=NOT_IN_KEY
    )
    dev: str | None = Field(
        None, description="path of the dev examples; empty: carved from train", json_schema_extra=NOT_IN_KEY
    )
    test: str | None = Field(
        None, description="path of the test examples; empty: carved from train", json_schema_extra=NOT_IN_KEY
    )
    premise: str = Field("premise", description="column of the premise, or of the only text")
    hypothesis: str | None = Field("hypothesis", description="column of the hypothesis; null for single texts")
    label: str = Field("label", description="column of the label")
    labels: tuple[str, ...] = Field(
        min_length=2,
        max_length=65_536,
        description="the label names as the files write them, in order of class number",
    )
    drop_labels: tuple[str, ...] = Field(
        (), description="values in the label column whose rows are dropped and counted"
    )
    dev_fraction: Fraction = Field(0.05, description="part of train, by class, that becomes dev where no file is given")
    test_fraction: Fraction = Field(
        0.1, description="part of train, by class, that becomes test where no file is given"
    )
    carve_seed: Int = Field(0, ge=0, lt=2**32, description="seed of the choice of carved examples")

    @model_validator(mode="after")
    def _consistent(self) -> "FileCorpus":
        columns = [name for name in (self.premise, self.hypothesis, self.label) if name is not None]
        if len(set(columns)) < len(columns):
            raise ValueError(f"premise, hypothesis, label: {columns} name one column more than once")
        if repeated := {name for name in self.labels if self.labels.count(name) > 1}:
            raise ValueError(f"labels: {sorted(repeated)} named more than once")
        if both := set(self.labels) & set(self.drop_labels):
            raise ValueError(f"drop_labels: {sorted(both)} are also in labels")
        carved = {"dev": (self.dev, self.dev_fraction), "test": (self.test, self.test_fraction)}
        for split, (path, fraction) in carved.items():
            if path is None and fraction == 0:
                raise ValueError(f"{split}: give a file, or a {split}_fraction above 0 to carve it from train")
        if sum(fraction for path, fraction in carved.values() if path is None) >= 1:
            raise ValueError("dev_fraction and test_fraction leave nothing of train")
        return self

    @property
    def has_pairs(self) -> bool:
        return self.hypothesis is not None

    @property
    def user_files(self) -> dict[Split, str]:
        given: dict[Split, str | None] = {"train": self.train, "dev": self.dev, "test": self.test}
        return {split: path for split, path in given.items() if path is not None}

    def identity(self) -> dict[str, Any]:
        identity = self.result_fields()
        for split, address in self.user_files.items():
            contents, path = contents_of(address, split), Path(address)
            identity[split] = [format_of(path), path.suffix == _PACKED, contents]
        return identity

    def sources(self) -> Iterator[Source]:
        yield from (Source(f"file, {split}", path, f"corpus.{split}") for split, path in self.user_files.items())

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        paths = {split: _here(address, split, fetcher) for split, address in self.user_files.items()}
        formats = {format_of(path) for path in paths.values()}
        if len(formats) > 1:
            raise UserError(f"corpus: the files of one corpus must have one format, not {', '.join(sorted(formats))}")
        format_ = formats.pop()
        files: dict[Split, str] = {}
        for split, path in paths.items():
            files[split] = f"{split}.{format_}"
            if path.suffix == _PACKED:
                gunzip(path, out / files[split], name=str(path), remedy="compress it again")
            else:
                shutil.copyfile(path, out / files[split])
        fractions: dict[Split, float] = {"dev": self.dev_fraction, "test": self.test_fraction}
        CorpusLayout(
            format=format_,
            files=files,
            premise=(self.premise,),
            hypothesis=self.hypothesis,
            label=self.label,
            labels=self.labels,
            drop_labels=self.drop_labels,
            carve={split: fraction for split, fraction in fractions.items() if split not in files},
            carve_seed=self.carve_seed,
            named_by_user=True,
        ).save(out)
        names = {split: str(user_path(address)) for split, address in self.user_files.items()}
        source = str(paths["train"].resolve().parent)
        if is_bucket(self.train):
            source, names = self.train.rpartition("/")[0], self.user_files
        return Origin(source=source, sha256=None, verified=False, files=names)


def _here(address: str, split: Split, fetcher: "Fetcher") -> Path:
    """Return the path of a user's file, fetched first if it is in a bucket."""
    if is_bucket(address):
        folder = fetcher.scratch / split
        folder.mkdir()
        return replace(fetcher, scratch=folder).fetch(address, digest=None, remedy="give the address of a file")
    return existing_file(address, split)
