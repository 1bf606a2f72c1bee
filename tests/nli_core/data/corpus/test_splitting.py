from pathlib import Path

import polars as pl
import pytest

from nli_core.data.corpus.cleaning import CleanTable
from nli_core.data.corpus.splitting import carve, shared_examples
from nli_core.errors import UserError


def _table(folder: Path, labels: list[int], name: str = "train") -> CleanTable:
    frame = pl.DataFrame(
        {"id": range(len(labels)), "label": labels, "premise": [f"text {place}" for place in range(len(labels))]},
        schema={"id": pl.UInt32, "label": pl.UInt16, "premise": pl.String},
    )
    path = folder / f"{name}.arrow"
    frame.write_ipc(path, compat_level=pl.CompatLevel.oldest())
    return CleanTable(path, len(labels), {"empty text": 1})


def test_every_class_gives_its_share_and_no_row_is_lost(tmp_path: Path) -> None:
    labels = [0] * 100 + [1] * 300
    tables = carve(_table(tmp_path, labels), {"dev": 0.1, "test": 0.2}, 0, "ab")
    frames = {split: pl.read_ipc(table.path) for split, table in tables.items()}
    assert {split: frame["label"].value_counts(sort=True)["count"].to_list() for split, frame in frames.items()} == {
        "train": [210, 70],
        "dev": [30, 10],
        "test": [60, 20],
    }
    assert sorted(pl.concat(frames.values())["id"]) == list(range(400))
    assert all(frame["id"].is_sorted() for frame in frames.values())
    assert sum(table.rows for table in tables.values()) == 400


def test_the_choice_depends_on_the_seed_alone(tmp_path: Path) -> None:
    table = _table(tmp_path, [0, 1] * 100)
    ids = [pl.read_ipc(carve(table, {"dev": 0.2}, seed, "ab")["dev"].path)["id"].to_list() for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_the_choice_does_not_depend_on_the_order_of_the_labels(tmp_path: Path) -> None:
    labels = [place % 3 for place in range(300)]
    one = carve(_table(tmp_path, labels, "one"), {"dev": 0.2}, 0, ["no", "yes", "maybe"])
    dev = pl.read_ipc(one["dev"].path)["id"].to_list()
    two = carve(_table(tmp_path, [(label + 1) % 3 for label in labels], "two"), {"dev": 0.2}, 0, ["maybe", "no", "yes"])
    assert pl.read_ipc(two["dev"].path)["id"].to_list() == dev


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leaves no rows for dev"):
        carve(_table(tmp_path, [0, 1, 0, 1]), {"dev": 0.05}, 0, "ab")


def test_examples_that_stand_in_an_earlier_split_are_counted(tmp_path: Path) -> None:
    tables = {"train": _table(tmp_path, [0] * 10, "a"), "dev": _table(tmp_path, [1] * 4, "b")}
    other = tmp_path / "c.arrow"
    pl.DataFrame({"premise": ["text 1", "text 99"]}).write_ipc(other)
    assert shared_examples({**tables, "test": CleanTable(other, 2, {})}) == {"dev": 4, "test": 1}
