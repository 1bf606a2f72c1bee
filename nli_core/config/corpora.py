"""Which corpus a run reads: one section a corpus, told apart by `name`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from nli_core.config.base import PLACE, Fraction, Int, Section, Sha256


class SampleCorpus(Section):
    """Premise/hypothesis pairs that a small grammar in this project generates; needs no download."""

    pairs_of_texts: ClassVar[bool] = True
    name: Literal["sample"] = "sample"
    pairs: Int = Field(4500, ge=90, le=1_000_000, description="pairs in train, dev and test together; a multiple of 3")
    seed: Int = Field(0, ge=0, lt=2**32, description="seed of the grammar's choices")

    @field_validator("pairs")
    @classmethod
    def _balanced(cls, pairs: int) -> int:
        if pairs % 3:
            raise ValueError("must be a multiple of 3, so that every hypothesis comes with each label")
        return pairs


class SnliCorpus(Section):
    """The Stanford Natural Language Inference corpus, release 1.0 (Bowman et al., 2015)."""

    pairs_of_texts: ClassVar[bool] = True
    name: Literal["snli"] = "snli"
    source: str | None = Field(
        None,
        min_length=1,
        description="http(s) address or local path of an archive laid out like the release; empty: the release itself",
        json_schema_extra=PLACE,
    )
    sha256: Sha256 | None = Field(None, description="digest that the archive of `source` must have; empty: unverified")


class AgNewsCorpus(Section):
    """AG News (Zhang et al., 2015): the topic of a title and a description. Dev is carved from train."""

    pairs_of_texts: ClassVar[bool] = False
    name: Literal["ag-news"] = "ag-news"
    source: str | None = Field(
        None,
        min_length=1,
        description="http(s) address or local path of a folder with the two files; empty: the published ones",
        json_schema_extra=PLACE,
    )
    train: str = Field(
        "train.csv", min_length=1, description="name of the train file in the folder", json_schema_extra=PLACE
    )
    test: str = Field(
        "test.csv", min_length=1, description="name of the test file in the folder", json_schema_extra=PLACE
    )
    train_sha256: Sha256 | None = Field(None, description="digest that the train file of `source` must have")
    test_sha256: Sha256 | None = Field(None, description="digest that the test file of `source` must have")
    dev_fraction: Fraction = Field(0.05, gt=0, description="part of train, by class, that becomes dev")
    carve_seed: Int = Field(0, ge=0, lt=2**32, description="seed of the choice of dev examples")


class FileCorpus(Section):
    """The user's own CSV, TSV, JSONL or Parquet files, plain or gzipped."""

    name: Literal["file"] = "file"
    train: str = Field(description="path of the training examples", json_schema_extra=PLACE)
    dev: str | None = Field(
        None, description="path of the dev examples; empty: carved from train", json_schema_extra=PLACE
    )
    test: str | None = Field(
        None, description="path of the test examples; empty: carved from train", json_schema_extra=PLACE
    )
    premise: str = Field("premise", description="column of the premise, or of the only text")
    hypothesis: str | None = Field("hypothesis", description="column of the hypothesis; null for single texts")
    label: str = Field("label", description="column of the label")
    labels: tuple[str, ...] = Field(
        min_length=2,
        max_length=65_536,
        description="the label names as they stand in the files, in order of class number",
    )
    drop_labels: tuple[str, ...] = Field(
        (), description="values in the label column whose rows are dropped and counted"
    )
    dev_fraction: Fraction = Field(0.05, description="part of train, by class, that becomes dev where no file is given")
    test_fraction: Fraction = Field(
        0.1, description="part of train, by class, that becomes test where no file is given"
    )
    carve_seed: Int = Field(0, ge=0, lt=2**32, description="seed of the choice of carved examples")

    @property
    def files(self) -> dict[str, str]:
        """The path of each split that has a file."""
        given = {"train": self.train, "dev": self.dev, "test": self.test}
        return {split: path for split, path in given.items() if path is not None}

    @property
    def pairs_of_texts(self) -> bool:
        """Whether an example is a premise and a hypothesis, or a single text."""
        return self.hypothesis is not None

    @model_validator(mode="after")
    def _consistent(self) -> "FileCorpus":
        columns = [name for name in (self.premise, self.hypothesis, self.label) if name is not None]
        if len(set(columns)) < len(columns):
            raise ValueError(f"premise, hypothesis, label: {columns} name one column more than once")
        if repeated := {name for name in self.labels if self.labels.count(name) > 1}:
            raise ValueError(f"labels: {sorted(repeated)} named more than once")
        if both := set(self.labels) & set(self.drop_labels):
            raise ValueError(f"drop_labels: {sorted(both)} also stand in labels")
        carved = {"dev": (self.dev, self.dev_fraction), "test": (self.test, self.test_fraction)}
        for split, (path, fraction) in carved.items():
            if path is None and fraction == 0:
                raise ValueError(f"{split}: give a file, or a {split}_fraction above 0 to carve it from train")
        if sum(fraction for path, fraction in carved.values() if path is None) >= 1:
            raise ValueError("dev_fraction and test_fraction leave nothing of train")
        return self


CorpusConfig = Annotated[SampleCorpus | SnliCorpus | AgNewsCorpus | FileCorpus, Field(discriminator="name")]
