"""A recipe for a user's own table: guess what its columns are, and write it."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nli_core.data.corpus.cleaning import count_labels
from nli_core.data.corpus.guess import Guess, guess_columns
from nli_core.data.corpus.layout import CorpusLayout, format_of
from nli_core.data.corpus.locate import Source
from nli_core.download.archives import gunzip
from nli_core.errors import UserError
from nli_core.paths import user_path
from nli_core.run.config import parse_config
from tasks.recipes import write_recipe
from tasks.settings import RECIPE_BOOK, project_root


@dataclass(frozen=True)
class OwnData:
    """What was found in a table, and the recipe that was written for it."""

    guess: Guess
    labels: Mapping[str, int]  # with their counts
    recipe: str
    path: Path


def write_own_recipe(
    file: str, name: str | None, premise: Sequence[str], hypothesis: str | None, label: str | None
) -> OwnData:
    """Guess what the user has not named of the table's columns, and write a recipe that trains on it.

    Raises:
        UserError: the file cannot be read, a column is missing or cannot be guessed, or there is such a recipe.
    """
    path = user_path(file)
    if not path.is_file():
        raise UserError(f"{file}: there is no such file (looked in {Path.cwd()}); give the path of a table")
    format_ = format_of(path)
    recipe = re.sub(r"[^\w-]+", "-", name or path.name.split(".")[0]).strip("-")
    if not recipe:
        raise UserError("--name: use letters, digits and dashes")
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(path, file)
        if path.suffix == ".gz":
            source = Source(Path(scratch) / path.stem, file)
            gunzip(path, source.path, name=file, remedy="compress it again")
        guess = guess_columns(source, format_, premise=premise, hypothesis=hypothesis, label=label)
        layout = CorpusLayout(
            format=format_,
            files={"train": path.name},
            columns=guess.columns,
            premise=guess.premise,
            hypothesis=guess.hypothesis,
            label=guess.label,
            labels=(),
            named_by_user=True,
        )
        labels = count_labels(source, layout)
    config = {
        "corpus": {
            "name": "file",
            "train": str(path.resolve()),
            **({"columns": list(guess.columns)} if guess.columns else {}),
            "premise": list(guess.premise) if len(guess.premise) > 1 else guess.premise[0],
            "hypothesis": guess.hypothesis,
            "label": guess.label,
            "labels": list(labels),
        },
        "encoder": {"name": "minilm-l6"},
        "pack": {"max_length": guess.max_length()},
        "finetune": {"epochs": 3, "batch_size": 32, "learning_rate": 2e-4},
    }
    parse_config(config)
    description = f"MiniLM on {path.name}, {len(labels)} labels."
    return OwnData(guess, labels, recipe, write_recipe(project_root() / RECIPE_BOOK, recipe, description, config))
