"""Passwords and tokens stay where their user put them."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

pytestmark = pytest.mark.faults("inputs tried")

TOPICS = ("World", "Sports", "Business", "Sci/Tech")
TOKEN = "hub-secret"
SECRETS = (b"tracking-secret", b"corpus-secret", TOKEN.encode())


@pytest.fixture
def served_topics(serve: Callable[..., str], tmp_path: Path) -> str:
    """A small AG News behind an address with a password."""
    folder = tmp_path / "served-topics"
    folder.mkdir()
    for name, rows in (("train.csv", 40), ("test.csv", 8)):
        lines = [f'"{row % 4 + 1}","a child","news of {TOPICS[row % 4].lower()} number {row}"' for row in range(rows)]
        (folder / name).write_text("\n".join(lines) + "\n")
    return f"http://me:corpus-secret@{serve(partial(SimpleHTTPRequestHandler, directory=str(folder)))}"


def _leaks(place: str, text: bytes) -> list[str]:
    """Each secret that stands in the text, with what stands before it."""
    return [
        f"{place}: {text[max(found.start() - 120, 0) : found.end()]!r}"
        for secret in SECRETS
        for found in re.finditer(re.escape(secret), text)
    ]


@pytest.mark.parametrize("tracking", ["database", "server"])
@pytest.mark.slow
def test_passwords_and_tokens_are_nowhere(
    nli_here: Callable[..., Any],
    request: pytest.FixtureRequest,
    tracking: str,
    workplace: Path,
    served_topics: str,
    tiny_encoder: Path,
    arguments_seen: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not in what the terminal shows, the store, MLflow's database and files, Prefect's logs, the process list."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fields = {
        "corpus.source": served_topics,
        "corpus.dev_fraction": 0.2,
        "encoder.name": tiny_encoder,
        "finetune.epochs": 1,
        "finetune.batch_size": 8,
    }
    recipe = ["ag-news-bert-finetune", *(word for item in fields.items() for word in ("--set", "{}={}".format(*item)))]
    hub = ["--set", "encoder.name=hf:someone/something@main", "--set", f"encoder.source={served_topics}"]
    missing = ["--set", f"corpus.source={served_topics}/nowhere"]
    with request.getfixturevalue("mlflow_server").running() if tracking == "server" else nullcontext():
        done = nli_here("run", *recipe)
        again = nli_here("run", *recipe, "--json")
        refused = nli_here("run", *recipe, *missing)
        no_hub = nli_here("run", *recipe, *hub)
    assert done.returncode == again.returncode == 0, done.stderr
    assert refused.returncode == no_hub.returncode == 2
    shown = "".join(run.stdout + run.stderr for run in (done, again, refused, no_hub))
    files = [workplace / "mlflow.db", *(workplace / "store").rglob("*"), *(workplace / "served").rglob("*")]
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
        states = [str(run.state) for run in runs] + [str(run.state) for run in client.read_task_runs()]
        logs = [log.message for log in client.read_logs()]
    assert runs
    assert logs
    leaks = [leak for path in files if path.is_file() for leak in _leaks(str(path), path.read_bytes())]
    assert tracking == "database" or any("mlflow server" in arguments for arguments in arguments_seen)
    leaks += _leaks("process list", "\n".join(arguments_seen).encode())
    leaks += _leaks("terminal", shown.encode()) + _leaks("Prefect", "\n".join(states + logs).encode())
    assert leaks == [], "\n".join(leaks)
