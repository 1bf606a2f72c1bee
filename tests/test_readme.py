"""The README's commands are real: they parse, name real recipes, fields and targets, and would run."""

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]
# Which run could be repeated is not known here.
NLI_RUNS = [command for command in COMMANDS if command.startswith("nli run") and "RUN_ID" not in command]


def test_there_are_commands_to_test() -> None:
    assert len(NLI_RUNS) >= 6


@pytest.mark.parametrize("command", NLI_RUNS)
def test_every_run_names_a_recipe_and_fields_that_exist(
    command: str, nli: Callable[..., "subprocess.CompletedProcess[str]"], workplace: Path
) -> None:
    (workplace / "examples.csv").write_text("text,label\nfine,positive\nbad,negative\n")
    words = [word for word in shlex.split(command)[1:] if word != "--explain"]
    # A mirror named in the README need not exist; its digest says what it holds.
    done = nli(*words, "--explain")
    assert done.returncode == 0, done.stderr
    assert "download" in done.stdout


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("nli store")])
def test_every_store_command_runs(command: str, nli: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    assert nli(*shlex.split(command)[1:]).returncode == 0


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("nli attention")])
def test_every_picture_is_drawn(command: str, nli: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    assert nli(*shlex.split(command)[1:]).returncode == 0


@pytest.mark.parametrize("command", [command for command in COMMANDS if "RUN_ID" in command or "rollback" in command])
def test_commands_about_runs_parse(command: str, nli: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    """Which runs there are is not known here: that is what it says."""
    refused = nli(*shlex.split(command)[1:])
    assert refused.returncode == 2
    assert re.search(r"nli: .*(RUN_ID: |has no champion)", refused.stderr), refused.stderr


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if re.match("nli (sweep|export|predict)", command)]
)
def test_commands_that_take_long_parse(command: str, nli: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    """Refused for want of a champion, or for one more setting."""
    more = ["--set", "corpus.pairs=few"] if "sweep" in command else []
    refused = nli(*shlex.split(command)[1:], *more)
    assert refused.returncode == 2
    assert re.search(r"nli: .*(no model is champion yet|no such model|corpus\.pairs)", refused.stderr), refused.stderr


def test_every_make_target_exists(project: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (project / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake (?:GPU=1 )?([a-z][\w-]*)", README.read_text(encoding="utf-8")))
    assert {"run", "test", "ui", "check", "bench"} <= named <= targets


def test_every_recipe_stands_in_the_readme(project: Path) -> None:
    from tasks.recipes import read_recipes

    text = README.read_text(encoding="utf-8")
    assert [name for name in read_recipes(project / "prefect.yaml") if f"| `{name}` |" not in text] == []


def test_the_tree_names_what_is_there(project: Path) -> None:
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert tree is not None
    for name in re.findall(r"^  ([\w/.]+) ", tree[1], re.MULTILINE):
        assert (project / "nli_core" / name).exists()
