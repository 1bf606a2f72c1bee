"""The user's own files as a corpus."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from nli_core.config.base import IN_KEY_IF_SET, NOT_IN_KEY, Fraction, Int, Names
from nli_core.data.corpus.layout import MOST_LABELS, MOST_MULTI_LABELS, SEPARATOR, CorpusLayout, Split, format_of
from nli_core.data.corpus.locate import DELIMITERS
from nli_core.data.corpus.locate import Source as TableSource
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
    place: ClassVar[str | None] = "train"
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
    columns: Names | None = Field(
        None, description="names of the columns in order, for CSV and TSV files whose first line has none"
    )
    premise: Names = Field(
        ("premise",), description="column of the premise, or of the only text; several are joined by spaces"
    )
    hypothesis: str | None = Field("hypothesis", description="column of the hypothesis; null for single texts")
    label: str = Field("label", description="column of the label")
    multi_label: bool = Field(
        False,
        description="whether an example may have any number of labels: as a list, or in one text with the separator "
        "between them",
        json_schema_extra=IN_KEY_IF_SET,
    )
    label_separator: str = Field(
        SEPARATOR,
        min_length=1,
        description="what is between the labels of an example, in its column and in predictions; for multi_label alone",
        json_schema_extra=IN_KEY_IF_SET,
    )
    labels: Names | None = Field(
        None,
        min_length=2,
        max_length=MOST_LABELS,
        description="the label names as the files write them, in order of class number; null: those of train, sorted",
    )
    drop_labels: Names = Field((), description="values in the label column whose rows are dropped and counted")
    dev_fraction: Fraction = Field(0.05, description="part of train, by class, that becomes dev where no file is given")
    test_fraction: Fraction = Field(
        0.1, description="part of train, by class, that becomes test where no file is given"
    )
    carve_seed: Int = Field(0, ge=0, lt=2**32, description="seed of the choice of carved examples")

    @model_validator(mode="after")
    def _consistent(self) -> "FileCorpus":
        columns = [name for name in (*self.premise, self.hypothesis, self.label) if name is not None]
        if not self.premise:
            raise ValueError("premise: name a column")
        if len(set(columns)) < len(columns):
            raise ValueError(f"premise, hypothesis, label: {columns} name one column more than once")
        labels = self.labels or ()
        if repeated := {name for name in labels if labels.count(name) > 1}:
            raise ValueError(f"labels: {sorted(repeated)} named more than once")
        if self.multi_label and len(labels) > MOST_MULTI_LABELS:
            raise ValueError(f"labels: {len(labels):,} are too many for multi_label, {MOST_MULTI_LABELS:,} at most")
        if self.multi_label and (joined := [name for name in labels if self.label_separator in name]):
            raise ValueError(
                f"labels: {joined[0]!r} has the label_separator {self.label_separator!r} in it; set another"
            )
        if self.multi_label and (odd := [name for name in labels if name != name.strip() or not name]):
            raise ValueError(f"labels: {odd[0]!r} is empty or has spaces around it, which no row's label has")
        if self.label_separator != SEPARATOR and not self.multi_label:
            raise ValueError("label_separator: is for multi_label; set multi_label=true, or leave it out")
        if both := set(labels) & set(self.drop_labels):
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

    @property
    def layout(self) -> CorpusLayout:
        files = {split: format_of(Path(address)) for split, address in self.user_files.items()}
        format_ = files["train"]
        for split, other in files.items():
            if other != format_:
                raise UserError(f"corpus.{split}: is {other}, and corpus.train is {format_}; give files of one format")
        if self.columns is not None and format_ not in DELIMITERS:
            raise UserError(f"corpus.columns: {format_} files name their columns themselves; leave it out")
        fractions: dict[Split, float] = {"dev": self.dev_fraction, "test": self.test_fraction}
        return CorpusLayout(
            format=format_,
            files={split: f"{split}.{format_}" for split in files},
            columns=self.columns,
            premise=self.premise,
            hypothesis=self.hypothesis,
            label=self.label,
            labels=self.labels or (),
            drop_labels=self.drop_labels,
            carve={split: fraction for split, fraction in fractions.items() if split not in files},
            carve_seed=self.carve_seed,
            section="corpus",
            separator=self.label_separator if self.multi_label else None,
        )

    def identity(self) -> dict[str, Any]:
        return {
            split: {
                "contents": contents_of(address, f"corpus.{split}"),
                "format": self.layout.format,
                "gzipped": Path(address).suffix == _PACKED,
            }
            for split, address in self.user_files.items()
        }

    def sources(self) -> Iterator[Source]:
        yield from (Source(f"file, {split}", path, f"corpus.{split}") for split, path in self.user_files.items())

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        from nli_core.data.corpus.cleaning import check_labels  # they import polars and Arrow
        from nli_core.data.corpus.labels import with_labels

        layout = self.layout
        paths = {split: _here(address, split, fetcher) for split, address in self.user_files.items()}
        given: dict[Split, TableSource] = {}
        for split, path in paths.items():
            given[split] = TableSource(path, self.user_files[split])
            if path.suffix == _PACKED:
                unpacked = out / layout.files[split]
                gunzip(path, unpacked, name=str(path), remedy="compress it again")
                given[split] = TableSource(unpacked, self.user_files[split])
        layout = with_labels(layout, given["train"])
        for table in given.values():  # before anything is copied
            check_labels(table, layout)
        for split, table in given.items():
            if table.path != out / layout.files[split]:
                shutil.copyfile(table.path, out / layout.files[split])
        names = {split: str(user_path(address)) for split, address in self.user_files.items()}
        source = str(paths["train"].resolve())
        if is_bucket(self.train):
            source, names = self.train, self.user_files
        return Origin(source=source, sha256=None, verified=False, files=names)


def _here(address: str, split: Split, fetcher: "Fetcher") -> Path:
    """Return the path of a user's file, fetched first if it is in a bucket."""
    if is_bucket(address):
        folder = fetcher.scratch / split
        folder.mkdir()
        return replace(fetcher, scratch=folder).fetch(address, digest=None, remedy="give the address of a file")
    return existing_file(address, f"corpus.{split}")
