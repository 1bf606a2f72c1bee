"""The documents' commands are real: they parse, name real recipes, fields and targets, and would run."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import typer

from flows.cli.main import app
from tasks.recipes import read_recipes

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"
DOCUMENTS = [README, PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md"))]
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for document in DOCUMENTS
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
    }
)
# Which run could be repeated is not known here.
RUNS = [
    command
    for command in COMMANDS
    if command.startswith("nli run") and "RUN_ID" not in command and command != "nli run examples"
]
Nli = Callable[..., "subprocess.CompletedProcess[str]"]


def _starting(*beginnings: str) -> list[str]:
    return [command for command in COMMANDS if command.startswith(beginnings)]


@pytest.fixture
def bucket(s3: str) -> Iterator[None]:
    """The bucket of the documents, with the files that they name."""
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket="bucket")
    for name, body in {"rows.csv": b"text,label\nfine,positive\n", "pairs.csv": b"premise,hypothesis\na,b\n"}.items():
        client.put_object(Bucket="bucket", Key=name, Body=body)
    yield
    for name in ("rows.csv", "pairs.csv"):
        client.delete_object(Bucket="bucket", Key=name)
    client.delete_bucket(Bucket="bucket")


def test_there_are_commands_to_test() -> None:
    assert len(RUNS) >= 15


@pytest.mark.parametrize("command", RUNS)
def test_every_run_names_a_recipe_and_fields(command: str, nli_here: Nli, workplace: Path, bucket: None) -> None:
    for name in ("examples", "documents", "news", "articles"):
        (workplace / f"{name}.csv").write_text("text,label\nfine,positive\nbad,negative\n")
    words = [word for word in shlex.split(command)[1:] if word != "--explain"]
    # A mirror named in a document need not exist; its digest says what it holds.
    done = nli_here(*words, "--explain")
    assert done.returncode == 0, done.stderr
    assert "encoder" in done.stdout


def test_a_table_becomes_a_recipe(nli_here: Nli, workplace: Path, own_book: Path) -> None:
    (workplace / "examples.csv").write_text("text,label\nfine,positive\nbad,negative\n")
    (init,) = _starting("nli init")
    for command in (init, "nli run examples --explain"):
        done = nli_here(*shlex.split(command)[1:])
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", _starting("nli store", "nli recipes", "nli config", "nli status"))
def test_every_listing_runs(command: str, nli_here: Nli) -> None:
    assert nli_here(*shlex.split(command)[1:]).returncode == 0


@pytest.mark.parametrize("command", _starting("nli attention"))
def test_every_picture_is_drawn(command: str, nli_here: Nli) -> None:
    assert nli_here(*shlex.split(command)[1:]).returncode == 0


@pytest.mark.parametrize("command", [command for command in COMMANDS if "RUN_ID" in command or "rollback" in command])
def test_commands_about_runs_parse(command: str, nli_here: Nli) -> None:
    """Which runs there are is not known here: that is what the error says."""
    refused = nli_here(*shlex.split(command)[1:])
    assert refused.returncode == 2
    assert re.search(r"nli: .*(RUN_ID: |has no champion)", refused.stderr), refused.stderr


@pytest.mark.parametrize("command", _starting("nli sweep", "nli export", "nli predict"))
def test_commands_that_take_long_parse(command: str, nli_here: Nli, workplace: Path, bucket: None) -> None:
    """Refused for want of a champion, or for one more setting."""
    for file in ("pairs.csv", "news.jsonl"):
        (workplace / file).touch()
    more = ["--set", "corpus.pairs=few"] if "sweep" in command else []
    refused = nli_here(*shlex.split(command)[1:], *more)
    assert refused.returncode == 2
    assert re.search(r"nli: .*(no model is champion yet|no such model|corpus\.pairs)", refused.stderr), refused.stderr


def test_every_nli_command_is_tested() -> None:
    known = (
        "nli run",
        "nli store",
        "nli recipes",
        "nli config",
        "nli status",
        "nli doctor",
        "nli attention",
        "nli sweep",
        "nli export",
    )
    others = ("nli init", "nli deploy", "nli predict", "nli compare", "nli report", "nli promote", "nli rollback")
    assert [each for each in _starting("nli ") if not each.startswith((*known, *others))] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    named = set(re.findall(r"`?\bmake (?:GPU=1 )?([a-z][\w-]*)(?=[`\s]*(?:`|#|\n))", text))
    assert {"run", "test", "ui", "check", "bench", "docs"} <= named <= targets


def test_every_recipe_has_a_row() -> None:
    text = (PROJECT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert [name for name in read_recipes(PROJECT / "prefect.yaml") if f"| `{name}` |" not in text] == []


def test_every_path_exists() -> None:
    """Paths in code spans, from the project's folder or, for tests, from `tests/`."""
    for document in DOCUMENTS:
        for path in re.findall(r"`((?:flows|tasks|nli_core|tests|docs|reliability)/[\w/.]*)`", document.read_text()):
            assert (PROJECT / path).exists() or (PROJECT / "tests" / path).exists(), f"{document.name}: {path}"


def test_the_tree_names_every_room() -> None:
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert tree is not None
    for line in tree[1].splitlines():
        package, *words = line.split()
        rooms = {word.rstrip("/,;") for word in words if word.rstrip(",;").endswith("/")}
        for room in rooms:
            assert (PROJECT / package / room).is_dir(), f"{package}{room}"


def test_the_readme_is_read_in_a_minute() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 140


def test_the_cli_reference_is_fresh() -> None:
    written = (PROJECT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `(.+)`$", written, re.MULTILINE) == [
        f"nli {name}" for name in typer.main.get_command(app).commands
    ]
    command = [str(Path(sys.executable).with_name("typer")), "flows.cli.main", "utils", "docs", "--name", "nli"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert written.strip() == done.stdout.strip(), "run `make docs` and commit docs/cli.md"


def test_every_variable_is_documented_and_read_in_one_place() -> None:
    text = (PROJECT / "docs" / "environment.md").read_text(encoding="utf-8")
    settings = PROJECT / "tasks" / "settings.py"
    for name in re.findall(r'"(NLI_\w+)"', settings.read_text(encoding="utf-8")):
        assert f"| `{name}` |" in text
    modules = [path for package in ("flows", "tasks", "nli_core") for path in (PROJECT / package).rglob("*.py")]
    for path in set(modules) - {settings}:
        assert not re.search(r"environ\S*NLI_", path.read_text(encoding="utf-8")), path
