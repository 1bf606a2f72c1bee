"""How to read the files of a corpus, which pack follows.

So pack knows no corpus by name: a corpus is a folder of tables, and a layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from nli_core.errors import UserError

TableFormat = Literal["csv", "tsv", "raw_tsv", "jsonl", "parquet"]
Split = Literal["train", "dev", "test"]
ColumnKind = Literal["plain", "lists", "nested"]
"""What a column holds: text or numbers, lists of these, or something else."""
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

MOST_LABELS = 65_536  # whose numbers fit into 16 bits
MOST_MULTI_LABELS = 1_000  # of a multi-label corpus, whose every example has a target for each
SEPARATOR = ","  # between the labels of a row of a multi-label corpus, unless the config names another
_FORMATS: Mapping[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Table:
    """How to read one table: the wanted columns, each with the remedy for a missing one.

    `columns` names those of a file without a header line. `lists` is the column, if any, that may hold lists.
    """

    format: TableFormat
    wanted: Mapping[str, str]
    columns: tuple[str, ...] | None = None
    lists: str | None = None


def format_of(path: Path) -> TableFormat:
    """Return the format that a file's name says, compressed or not.

    Raises:
        UserError: it tells none.
    """
    name = path.name.removesuffix(".gz")
    try:
        return _FORMATS[Path(name).suffix.lower()]
    except KeyError:
        raise UserError(f"{path}: its name must end in {', '.join(_FORMATS)}, or one of these and .gz") from None


class CorpusLayout(BaseModel):
    """The tables of a corpus, their columns, and what their labels mean.

    `raw_tsv` is tab-separated without any quoting, as SNLI is; in `tsv` quotes may enclose a field. `columns` names
    those of files without a header line. A premise in several columns is their texts, joined by spaces.
    Without `labels`, they are those of train, sorted. `label_values` are the labels as the files write them, if not by
    their names. `section` is where the config names columns and labels, which errors then say; None: it does not.
    With a `separator` the corpus is multi-label: an example has any number of labels, as a list or with the separator
    between them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: TableFormat
    files: dict[Split, str]
    columns: tuple[str, ...] | None = None
    premise: tuple[str, ...]
    hypothesis: str | None
    label: str
    premise_parse: str | None = None
    hypothesis_parse: str | None = None
    labels: tuple[str, ...]
    label_values: tuple[str, ...] | None = None
    drop_labels: tuple[str, ...] = ()
    carve: dict[Split, float] = {}
    carve_seed: int = 0
    section: str | None = None
    separator: str | None = None

    @property
    def multi_label(self) -> bool:
        """Whether an example may have any number of labels."""
        return self.separator is not None

    @property
    def written_labels(self) -> list[str]:
        """The labels as the files write them, by class number."""
        return list(self.label_values or self.labels)

    def remedy(self, in_config: str) -> str:
        """Return what an error tells the user to do about a file: `in_config`, if the config can change it.

        `{section}` in it becomes the section of the config.
        """
        return in_config.replace("{section}", self.section) if self.section else "is this a file of this corpus?"

    @property
    def table(self) -> Table:
        """How each of the files is to be read."""
        named = [(column, "premise") for column in self.premise] + [(self.label, "label")]
        if self.hypothesis is not None:
            named.append((self.hypothesis, "hypothesis"))
        wanted = {column: self.remedy(f"set {{section}}.{field}") for column, field in named}
        for column in (self.premise_parse, self.hypothesis_parse):
            if column is not None:
                wanted[column] = self.remedy("write the parses")
        return Table(self.format, wanted, self.columns, self.label if self.multi_label else None)

    def identity(self) -> dict[str, Any]:
        """Return what decides how the tables are read, for the key."""
        later = set() if self.multi_label else {"separator"}  # which keys of before do not have
        return self.model_dump(mode="json", exclude={"section", *later})
