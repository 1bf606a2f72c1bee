"""A recipe for a user's own table: guess what its columns are, and write it."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nli_core.data.corpus.cleaning import Gaps
from nli_core.data.corpus.guess import Guess, guess_columns
from nli_core.data.corpus.labels import count_labels
from nli_core.data.corpus.layout import SEPARATOR, CorpusLayout, format_of
from nli_core.data.corpus.locate import Source
from nli_core.download.archives import gunzip
from nli_core.errors import UserError
from nli_core.paths import user_path
from nli_core.run.config import parse_config
from tasks.recipes import write_recipe
from tasks.settings import RECIPE_BOOK, project_root

_NAME = re.compile(r"\w[\w-]{0,63}")
_OTHER = re.compile(r"[^\w-]+")
_NO_LABEL = ("-", "--", "?")  # as SNLI marks a pair without a gold label
_SEPARATORS = ("|", ";", ",")
_RARE = 20  # rows, of which dev gets one


@dataclass(frozen=True)
class OwnData:
    """What was found in a table, and the recipe that was written for it."""

    guess: Guess
    labels: Mapping[str, int]  # with their counts
    notes: list[str]
    recipe: str
    path: Path


def write_own_recipe(
    file: str,
    name: str | None,
    premise: Sequence[str],
    hypothesis: str | None,
    label: str | None,
    separator: str | None = None,
) -> OwnData:
    """Guess what the user has not named of the table's columns, and write a recipe that trains on it.

    Raises:
        UserError: the file cannot be read, a column is missing or cannot be guessed, or there is such a recipe.
    """
    path = user_path(file)
    if not path.is_file():
        fault = "is no regular file" if path.exists() else f"there is no such file (looked in {Path.cwd()})"
        raise UserError(f"{file}: {fault}; give the path of a table")
    format_ = format_of(path)
    if name is not None and not _NAME.fullmatch(name):
        raise UserError(f"--name {name}: use letters, digits, dashes and underscores, 64 at most")
    recipe = name or _OTHER.sub("-", path.name.split(".")[0]).strip("-")[:64] or "data"
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(path, file)
        if path.suffix == ".gz":
            source = Source(Path(scratch) / path.stem, file)
            gunzip(path, source.path, name=file, remedy="compress it again")
        guess = guess_columns(source, format_, premise=premise, hypothesis=hypothesis, label=label, separator=separator)
        layout = CorpusLayout(
            format=format_,
            files={"train": path.name},
            columns=guess.columns,
            premise=guess.premise,
            hypothesis=guess.hypothesis,
            label=guess.label,
            labels=(),
            section="corpus",
            separator=guess.separator,
        )
        labels, gaps = count_labels(source, layout), Gaps.of(source, layout)
    dropped = [label for label in labels if label.strip() in _NO_LABEL and len(labels) > 2]
    if guess.separator and (joined := [label for label in labels if guess.separator in label]):
        separator = "separator in --label-separator that is in no label"
        raise UserError(f"{file}: the label {joined[0]!r} has {guess.separator!r} in it; name a {separator}")
    kept = [label for label in labels if label not in dropped]
    if len(kept) < 2:
        raise UserError(f"{file}: the column {guess.label!r} has {len(kept)} values; training needs two labels")
    config = _config(path, guess, kept, dropped, gaps)
    parse_config(config)
    description = f"MiniLM on {path.name}, {len(kept)} labels."
    written = write_recipe(project_root() / RECIPE_BOOK, recipe, description, config)
    rare = [label for label in kept if labels[label] < _RARE]
    likely = _separator_in(kept) if guess.separator is None else None
    return OwnData(guess, labels, list(_notes(dropped, gaps, rare, likely)), recipe, written)


def _config(path: Path, guess: Guess, labels: list[str], dropped: list[str], gaps: Gaps) -> dict[str, dict[str, Any]]:
    corpus = {
        "name": "file",
        "train": str(path.resolve()),
        "columns": list(guess.columns or ()),
        "premise": list(guess.premise),
        "hypothesis": guess.hypothesis,
        "label": guess.label,
        "labels": labels,
        "drop_labels": dropped,
        "multi_label": guess.separator is not None,
        "label_separator": guess.separator if guess.separator != SEPARATOR else None,
    }
    pack = {"max_length": guess.max_length(), "empty_text": "drop" if gaps.texts else None}
    return {
        "corpus": {name: value for name, value in corpus.items() if name == "hypothesis" or value},
        "encoder": {"name": "minilm-l6"},
        "pack": {name: value for name, value in pack.items() if value},
        "finetune": {
            "epochs": 3,
            "batch_size": 32,
            "learning_rate": 2e-4,
            **({"best_by": "micro_f1"} if guess.separator else {}),
        },
    }


def _separator_in(labels: Sequence[str]) -> str | None:
    """Return what seems to be between several labels: there are more values with it than labels that make them up."""
    for separator in _SEPARATORS:
        joined = [label.split(separator) for label in labels if separator in label]
        if len(joined) > 1 and len({part.strip() for parts in joined for part in parts}) <= len(joined) + 1:
            return separator
    return None


def _notes(dropped: list[str], gaps: Gaps, rare: list[str], separator: str | None) -> Iterator[str]:
    """Yield what the user is to know before a run."""
    if separator:
        yield f"Labels look like several with {separator!r} between; if they are, add --label-separator {separator!r}."
    if dropped:
        yield f"Rows with the label {' or '.join(dropped)} are dropped."
    if gaps.texts:
        yield f"{gaps.texts:,} rows have an empty text, and are dropped."
    if gaps.labels:
        yield f"{gaps.labels:,} rows have no label: fill them in, or delete them before you run it."
    if rare:
        which = "label has" if len(rare) == 1 else "labels have"
        yield f"{len(rare):,} {which} fewer than {_RARE} rows, too few for dev to hold one: {rare[0]!r}, ..."
