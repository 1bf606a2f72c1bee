"""Clean and check a corpus' tables: one Arrow file of text per split, written in parts.

An unusable row stops the work with its file and line. If the layout or the config says so, it is dropped and counted.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from nli_core.data.arrow import strings, to_numpy
from nli_core.data.corpus.labels import count_labels, is_dropped, label_numbers, labels_of
from nli_core.data.corpus.layout import SPLITS, CorpusLayout, Split
from nli_core.data.corpus.locate import Source, position_of
from nli_core.data.corpus.reading import read_parts, read_parts_ahead
from nli_core.errors import UserError, did_you_mean
from nli_core.log import LOGGER

_SHOWN_CHARACTERS = 60
_SHOWN_LABELS, _SHOWN_OF_MANY = 20, 5
_PLAIN = re.compile(r"[^\W\d][\w/-]*( [\w/-]+)*")  # needs no quotes in YAML
_Row = dict[str, Any]


@dataclass(frozen=True)
class CleanTable:
    """One split's text: `path` is an Arrow IPC file with id, label and the texts; `dropped` counts rows by reason."""

    path: Path
    rows: int
    dropped: dict[str, int]

    def batches(self) -> pa.RecordBatchReader:
        """Read the rows in their order, in parts; not by memory map, whose pages would count as ours."""
        opened = pa.ipc.open_file(pa.OSFile(str(self.path)))
        return pa.RecordBatchReader.from_batches(opened.schema, map(opened.get_batch, range(opened.num_record_batches)))

    def sha256(self, labels: Sequence[str]) -> str:
        """Hash ids, names of labels and texts in their order, independent of how labels are numbered and tokenized."""
        names = strings(labels)
        columns = {name: (hashlib.sha256(), hashlib.sha256()) for name in ("id", "label", "premise", "hypothesis")}
        of_lists = hashlib.sha256()  # how many labels each row has, where it may have several
        for batch in self.batches():
            for name in columns.keys() & set(batch.schema.names):
                lengths, contents = columns[name]
                if name == "id":
                    contents.update(to_numpy(batch[name]).tobytes())
                else:
                    texts = batch[name]
                    if name == "label" and pa.types.is_list(texts.type):
                        of_lists.update(to_numpy(texts.value_lengths()).tobytes())
                        texts = _sorted_names(texts, labels)
                    elif name == "label":
                        texts = names.take(texts)
                    _, offsets, data = texts.buffers()
                    ends = np.frombuffer(offsets, np.int64)[: len(texts) + 1]
                    lengths.update(np.diff(ends).tobytes())
                    contents.update(memoryview(data)[ends[0] : ends[-1]])
        digests = [digest.hexdigest() for pair in columns.values() for digest in pair]
        if pa.types.is_list(self.batches().schema.field("label").type):
            digests.append(of_lists.hexdigest())
        return hashlib.sha256("".join(digests).encode()).hexdigest()


def _sorted_names(numbers: pa.ListArray, labels: Sequence[str]) -> pa.LargeStringArray:
    """Return the names of all labels of all rows, sorted within each row."""
    named = pl.element().replace_strict(range(len(labels)), list(labels), return_dtype=pl.String)
    names = pl.Series(numbers).list.eval(named).list.sort().explode(empty_as_null=False)
    return names.to_arrow(compat_level=pl.CompatLevel.oldest())


@dataclass(frozen=True)
class Gaps:
    """How many rows of a table lack a label, where each must have one, and how many of the others lack a text."""

    labels: int
    texts: int

    @classmethod
    def of(cls, source: Source, layout: CorpusLayout) -> "Gaps":
        """Count them.

        Raises:
            UserError: as `count_labels`.
        """
        labels = texts = 0
        empty = pl.any_horizontal(_is_empty(_joined(columns)) for columns in _texts_of(layout).values())
        for part in read_parts(source, layout.table):
            labelled = part if layout.multi_label else part.filter(pl.col(layout.label).is_not_null())
            labels += part.height - labelled.height
            texts += labelled.filter(empty).height
        return cls(labels, texts)


def check_labels(source: Source, layout: CorpusLayout) -> None:
    """Raise UserError for the first row of a table whose label the layout does not know, or as `count_labels`.

    Logs if rows may have several labels, and none has.
    """
    done, most = 0, 0
    for part in read_parts(source, layout.table):
        labels = pl.DataFrame({"label": labels_of(part, layout)})
        _refuse_unknown(labels.with_row_index("id", offset=done).filter(~is_dropped(layout)), source, layout)
        done += part.height
        if layout.multi_label:
            most = max(most, labels.select(pl.col("label").list.len().max()).item() or 0)
    if layout.multi_label and most < 2:
        LOGGER.warning(
            "%s: no row has more than one label; is %r between them? Otherwise set %s.label_separator",
            *(source.name, layout.separator, layout.section),
        )


def clean_tables(
    layout: CorpusLayout,
    corpus: Path,
    out: Path,
    *,
    empty_text: Literal["error", "drop"],
    names: Mapping[Split, str],
) -> dict[Split, CleanTable]:
    """Write each file of the corpus to `out` as `<split>.arrow`.

    Its columns are

        id       uint32   row of the example in its file, from 0
        label    uint16   index in `layout.labels`; of a multi-label corpus a sorted list of them
        premise  string   and, where the layout names them, hypothesis, premise_parse, hypothesis_parse

    `names` is what errors call the files.

    Raises:
        UserError: names file, line and value of the first row that cannot be used.
    """
    return {
        split: _clean(
            layout,
            table_of(layout, corpus, split, names),
            out / f"{split}.arrow",
            empty_text,
        )
        for split in SPLITS
        if split in layout.files
    }


def table_of(layout: CorpusLayout, corpus: Path, split: Split, names: Mapping[Split, str]) -> Source:
    """Return the file of a split, and what errors call it."""
    return Source(corpus / layout.files[split], names.get(split, layout.files[split]))


def _clean(layout: CorpusLayout, source: Source, target: Path, empty_text: str) -> CleanTable:
    texts = _texts_of(layout)
    columns = [_joined(columns).alias(name) for name, columns in texts.items()]
    number = pa.list_(pa.uint16()) if layout.multi_label else pa.uint16()
    schema = pa.schema({"id": pa.uint32(), "label": number} | dict.fromkeys(texts, pa.large_string()))
    checked = [name for name in ("premise", "hypothesis") if name in texts]
    empty = pl.any_horizontal(_is_empty(pl.col(name)) for name in checked)
    total = dropped_labels = empties = 0
    with pa.OSFile(str(target), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for part in read_parts_ahead(source, layout.table):
            rows = part.select(labels_of(part, layout).alias("label"), *columns).with_row_index("id", offset=total)
            labelled = rows.filter(~is_dropped(layout))
            numbers = _refuse_unknown(labelled, source, layout)
            is_empty = labelled.select(empty).to_series()
            for row in labelled.filter(is_empty).head(1).iter_rows(named=True) if empty_text == "error" else ():
                raise _fault(source, layout, row["id"], _empty_fault(row, texts))
            kept = labelled.with_columns(label=numbers).filter(~is_empty)
            writer.write_table(kept.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema))
            total += rows.height
            dropped_labels += rows.height - labelled.height
            empties += labelled.height - kept.height
    kept_rows = total - dropped_labels - empties
    if total == 0:
        raise UserError(f"{source.name}: has no rows; give a file with examples")
    if kept_rows == 0:
        raise UserError(
            f"{source.name}: no rows are left of {total}; {layout.remedy('check {section}.label and {section}.labels')}"
        )
    dropped = {f"label {'/'.join(layout.drop_labels)}": dropped_labels, "empty text": empties}
    return CleanTable(target, kept_rows, {reason: count for reason, count in dropped.items() if count})


def _refuse_unknown(labelled: pl.DataFrame, source: Source, layout: CorpusLayout) -> pl.Series:
    """Return the class numbers of the column `label`; raise UserError for the first row with an unknown label."""
    numbers = labelled.select(label_numbers(layout)).to_series()
    for row in labelled.filter(numbers.is_null()).head(1).iter_rows(named=True):
        label = row["label"]
        if layout.multi_label:
            label = next(each for each in label if each not in layout.written_labels)
        raise _fault(source, layout, row["id"], _label_fault(label, source, layout))
    return numbers


def _texts_of(layout: CorpusLayout) -> dict[str, tuple[str, ...]]:
    """Return the columns that make each text of an example."""
    return {"premise": layout.premise} | {
        name: (column,)
        for name in ("hypothesis", "premise_parse", "hypothesis_parse")
        if (column := getattr(layout, name)) is not None
    }


def _is_empty(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars().fill_null("") == ""


def _joined(columns: Sequence[str]) -> pl.Expr:
    """Join the columns by spaces; an empty one among several adds nothing."""
    texts = [pl.col(column).cast(pl.String) for column in columns]
    if len(texts) == 1:
        return texts[0]
    return pl.concat_str([text.replace("", None) for text in texts], separator=" ", ignore_nulls=True)


def _fault(source: Source, layout: CorpusLayout, row: int, fault: str) -> UserError:
    return UserError(f"{source.name}, {position_of(source, layout.table, row)}: {fault}")


def _label_fault(label: str | None, source: Source, layout: CorpusLayout) -> str:
    if label is None:
        return f"has no value in the column {layout.label!r}; fill it in, or delete the row"
    known = layout.written_labels
    alike = did_you_mean(label, known) if layout.section else ""
    fault = f"the label {label[:_SHOWN_CHARACTERS]!r} is not one of {', '.join(map(repr, known))}{alike}"
    if not layout.section:
        return f"{fault}; {layout.remedy('')}"
    counts = [each for each in count_labels(source, layout).items() if each[0] not in layout.drop_labels]
    few = counts[:_SHOWN_LABELS] if len(counts) <= _SHOWN_LABELS else counts[:_SHOWN_OF_MANY]
    found = ", ".join(f"{_yaml(value)} ({count:,})" for value, count in few)
    more = f" and {len(counts) - len(few):,} more: is it a column of labels?" if len(counts) > len(few) else ""
    listed = ", ".join(_yaml(value) for value, _ in few)
    remedy = "{section}.labels or {section}.drop_labels"
    if not more:
        remedy = f"{{section}}.drop_labels, or set {{section}}.labels=[{listed}]"
    return f"{fault}; {layout.remedy(f'add it to {remedy}')}; the column has {found}{more}"


def _yaml(value: str) -> str:
    """Write a label as a value of a setting."""
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _empty_fault(row: _Row, columns: Mapping[str, Sequence[str]]) -> str:
    empty = next(name for name in ("premise", "hypothesis") if not (row[name] or "").strip())
    remedy = "fix it or set pack.empty_text=drop"
    return f"has no text in the column {' or '.join(map(repr, columns[empty]))}; {remedy}"
