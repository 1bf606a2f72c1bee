"""A table of the user's own becomes a recipe that runs, and a deployment."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import yaml

from flows.deployments import all_deployments, schedules_of
from nli_core.data.corpus.layout import SPLITS
from nli_core.data.examples.shards import ShardSet
from nli_core.errors import UserError
from nli_core.store.store import Store
from tasks.recipes import read_recipes

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def news(workplace: Path) -> Path:
    path = workplace / "my news.csv"
    rows = [(number % 4 + 1, f"Title {number}", f"What happened on day {number} of all days") for number in range(200)]
    path.write_text("".join(f'"{label}","{title}","{text}"\n' for label, title, text in rows))
    return path


def test_a_table_becomes_a_recipe_that_packs(nli_here: Nli, own_book: Path, news: Path) -> None:
    done = nli_here("init", str(news))
    assert done.returncode == 0, done.stderr
    assert "nli run my-news" in done.stdout
    config = yaml.safe_load((own_book.parent / "recipes" / "my-news.yaml").read_text())["config"]
    assert config["corpus"]["labels"] == ["1", "2", "3", "4"]
    packed = nli_here("run", "my-news", "--until", "pack", "--json")
    assert packed.returncode == 0, packed.stderr
    (shards,) = Store(news.parent / "store").outputs("pack")
    assert sum(len(ShardSet(shards.folder, split)) for split in SPLITS) == 200
    again = nli_here("init", str(news))
    assert again.returncode == 2
    assert "my-news.yaml: exists; delete it, or choose another --name" in again.stderr
    named = nli_here("init", str(news), "--name", "days", "--premise", "column_3", "--json")
    assert json.loads(named.stdout)["columns"] == {"column_1": "label", "column_2": None, "column_3": "text"}
    assert {"my-news", "days", "sample"} <= read_recipes(own_book).keys()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["none.csv"], "none.csv: there is no such file"),
        (["NEWS", "--label", "topic"], "has no column 'topic', only 'column_1', 'column_2', 'column_3'"),
        (["."], ".: is no regular file; give the path of a table"),
        (["NEWS", "--name", "sample"], "prefect.yaml has a recipe sample; choose another --name"),
        (["NEWS", "--name", "../evil"], "--name ../evil: use letters, digits, dashes and underscores"),
    ],
)
def test_what_cannot_be_guessed_or_written_is_one_line(
    nli_here: Nli, own_book: Path, news: Path, words: list[str], reason: str
) -> None:
    refused = nli_here("init", *(str(news) if word == "NEWS" else word for word in words))
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert not (own_book.parent / "recipes").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is not valid YAML"),
        ("[]", "should have a description and a config with fields"),
        ("config: {}\nschedule: daily", "schedule is no field; there are description, config, schedules"),
    ],
)
def test_a_malformed_recipe_is_named(nli_here: Nli, own_book: Path, text: str, reason: str) -> None:
    (own_book.parent / "recipes").mkdir()
    (own_book.parent / "recipes" / "mine.yaml").write_text(text)
    for command in (["recipes"], ["run", "mine", "--explain"]):
        refused = nli_here(*command)
        assert refused.returncode == 2
        assert f"mine.yaml: {reason}" in refused.stderr
    assert nli_here("run", "sample", "--explain").returncode == 0


def test_recipes_are_deployed_with_their_schedules_and_stages(
    nli_here: Nli, own_book: Path, news: Path, prefect_server: str
) -> None:
    assert nli_here("init", str(news)).returncode == 0
    described = yaml.safe_load(own_book.read_text())  # fewer, since each takes half a second
    few = [each for each in described["deployments"] if each["name"] in ("sample", "sample-finetune", "compare")]
    own_book.write_text(yaml.safe_dump({"deployments": few}))
    own = own_book.parent / "recipes" / "my-news.yaml"
    own.write_text(own.read_text() + "schedules: [{cron: 0 5 * * *, timezone: Europe/Berlin}]\n")
    done = nli_here("deploy")
    assert done.returncode == 0, done.stderr
    assert "prefect worker start --pool nli" in done.stdout
    found = requests.post(f"{prefect_server}/deployments/filter", json={}, timeout=30).json()
    by_name = {each["name"]: each for each in found}
    assert {"sample", "sample-finetune", "compare", "my-news", "my-news-pack", "my-news-evaluate"} <= by_name.keys()
    (schedule,) = by_name["my-news"]["schedules"]
    assert schedule["schedule"] == {"cron": "0 5 * * *", "timezone": "Europe/Berlin", "day_or": True}
    assert by_name["my-news"]["parameters"]["config"]["corpus"]["train"] == str(news)
    assert by_name["sample"]["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert by_name["sample"]["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    text = own.read_text()
    for before, after, reason in (
        ("0 5 * * *", "at five", "my-news: schedules: "),
        (
            "[{cron: 0 5 * * *, timezone: Europe/Berlin}]",
            "{cron: 0 5 * * *}",
            "my-news: schedules: it must be a mapping",
        ),
        ("cron:", "crn:", "my-news: schedules: it got an unexpected keyword argument 'crn'"),
        ("Europe/Berlin", "Mars/X", "my-news: schedules: "),
        ("epochs: 3", "epoch: 3", "recipe my-news: invalid configuration: finetune.epoch: no such field"),
    ):
        own.write_text(text.replace(before, after))
        with pytest.raises(UserError) as refused:  # before any is sent
            for each in all_deployments(own_book):
                schedules_of(each)
        assert reason in str(refused.value)
    own.rename(own.with_name("sample.yaml"))
    twice = nli_here("deploy")
    assert twice.returncode == 2
    assert "sample.yaml: there is another recipe sample; give the file another name" in twice.stderr


def test_gaps_and_labels_that_mean_none_are_seen_before_a_run(nli_here: Nli, own_book: Path, workplace: Path) -> None:
    path = workplace / "pairs.tsv"
    labels = ["yes", "no", "-", ""] * 30
    rows = [f"a first text {n}\t{f'a second text {n}' if n % 7 else ''}\t{label}" for n, label in enumerate(labels)]
    path.write_text("sentence, 1\tother\tgold_label\n" + "\n".join([*rows, "a b\tc\trare"]) + "\n")
    done = nli_here("init", str(path), "--premise", "sentence, 1".partition("|")[0], "--hypothesis", "other")
    assert done.returncode == 2  # a comma divides columns
    path.write_text(path.read_text().replace("sentence, 1", "sentence"))
    done = nli_here("init", str(path), "--premise", "sentence", "--hypothesis", "other")
    assert done.returncode == 0, done.stderr
    for note in (
        "Rows with the label - are dropped.",
        "13 rows have an empty text, and are dropped.",
        "30 rows have no label",
        "1 label has fewer than 20 rows, too few for dev to hold one: 'rare', ...",
    ):
        assert note in done.stdout
    config = yaml.safe_load((own_book.parent / "recipes" / "pairs.yaml").read_text())["config"]
    assert config["corpus"]["drop_labels"] == ["-"]
    assert config["pack"]["empty_text"] == "drop"
