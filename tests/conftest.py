"""What tests of all three packages share: a small encoder, small corpora, and the place of the real data."""

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from flows.cli.main import main
from flows.pipeline import RunSummary, pipeline
from nli_core.config import Stage
from nli_core.download.corpora import sample_grammar
from nli_core.locks import FileLock
from nli_core.log import LOGGER
from nli_core.run.config import RunConfig, parse_config

pytest_plugins = ["tests.fixtures.s3"]

PROJECT = Path(__file__).resolve().parents[1]
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def pytest_configure() -> None:
    """One thread a process: the models are tiny, and tests that run beside each other share the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that is marked `faults` and passes counts as one of what the mark names."""
    report = yield
    marker = item.get_closest_marker("faults")
    if marker and report.when == "call" and report.passed:
        report.user_properties.append((marker.args[0], 1))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many faults of which kind were survived."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        for name, count in report.user_properties:
            counts[name] += count
    if counts:
        terminalreporter.write_line(", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))


Serve = Callable[[Callable[..., BaseHTTPRequestHandler]], str]
MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Makes a file or folder that takes seconds to make; all processes of the tests share it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        path = shared / name
        with FileLock(path.with_suffix(".lock")) as lock:
            lock.acquire()
            if not path.exists():
                make(path.with_suffix(".partial"))
                path.with_suffix(".partial").rename(path)
        return path

    return make_once


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout, or where NLI_TEST_DATA points."""
    folder = Path(os.environ.get("NLI_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set NLI_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(make_once: MakeOnce) -> Path:
    """A random BERT of 2 layers x 32 in the Hugging Face layout, whose vocabulary covers the sample corpus."""
    return make_once("tiny-encoder", _make_tiny_encoder)


def _make_tiny_encoder(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    folder.mkdir()
    texts = (text for pair in sample_grammar.generate(3600, 0)["train"] for text in (pair.premise, pair.hypothesis))
    words = sorted({word for text in texts for word in text.lower().replace(".", " .").split()})
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(word for word in words if len(word) > 1),
        ".",
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The messages that the project logs during the test."""
    messages: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, level = Handler(), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    yield messages
    LOGGER.removeHandler(handler)
    LOGGER.setLevel(level)


@pytest.fixture
def flip_byte() -> Callable[[Path], None]:
    """Changes one byte in the middle of a file."""

    def flip(path: Path) -> None:
        body = bytearray(path.read_bytes())
        body[len(body) // 2] ^= 0x55
        path.write_bytes(body)

    return flip


@pytest.fixture
def overflowing_encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """The tiny encoder with weights so large that what it computes is no number."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_encoder, tmp_path / "overflowing-encoder")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.0.output.LayerNorm.weight"].fill_(3e38)
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def tiny_sections(tiny_encoder: Path) -> dict[str, dict[str, Any]]:
    """The config of a run of seconds: 360 sample pairs and the tiny encoder."""
    return {
        "corpus": {"name": "sample", "pairs": 360},
        "encoder": {"name": str(tiny_encoder)},
        "pack": {"max_length": 64, "rows_per_shard": 100},
        "finetune": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "log_every": 4, "precision": "fp32"},
        "evaluate": {"precision": "fp32"},
    }


@pytest.fixture(scope="session")
def tiny_config(tiny_sections: dict[str, dict[str, Any]]) -> Callable[..., RunConfig]:
    """Builds the tiny config; sections can be overridden."""

    def build(**sections: dict[str, Any]) -> RunConfig:
        values = dict(tiny_sections)
        for section, fields in sections.items():
            replaces = section == "corpus" and "name" in fields
            values[section] = fields if replaces else {**values[section], **fields}
        return parse_config(values)

    return build


@pytest.fixture
def tiny_settings(tiny_sections: dict[str, dict[str, Any]]) -> list[str]:
    """Arguments that make the recipe `sample` the tiny config."""
    values = {f"{section}.{name}": value for section, fields in tiny_sections.items() for name, value in fields.items()}
    return [word for name, value in values.items() for word in ("--set", f"{name}={json.dumps(value)}")]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts HTTP servers on loopback that answer as a class of handlers does; gives the host and port of each."""
    monkeypatch.setattr(BaseHTTPRequestHandler, "log_message", lambda *_: None)
    with ExitStack() as ends:

        def start(handler: Callable[..., BaseHTTPRequestHandler]) -> str:
            server = ends.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            ends.callback(thread.join)
            ends.callback(server.shutdown)
            return f"127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows of plain values as a CSV, TSV, JSONL or Parquet file."""
    import polars as pl

    def write(name: str, rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        frame = pl.DataFrame(rows)
        match path.suffix:
            case ".csv":
                frame.write_csv(path)
            case ".tsv":
                frame.write_csv(path, separator="\t")
            case ".parquet":
                frame.write_parquet(path)
            case _:
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def empty_prefect_database(make_once: MakeOnce) -> Path:
    """Prefect's tables."""

    def make(path: Path) -> None:
        address = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{path}"}
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        subprocess.run(command, env={**os.environ, **QUIET, **address}, check=True, stdout=subprocess.DEVNULL)

    return make_once("prefect.db", make)


@pytest.fixture
def prefect_home(workplace: Path, empty_prefect_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for servers that `nli` starts, named in the environment; its database has its tables."""
    home = workplace / "prefect"
    home.mkdir()
    shutil.copyfile(empty_prefect_database, home / "prefect.db")
    monkeypatch.setenv("PREFECT_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def prefect_server(empty_prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server with a database of its own, for the whole session; gives the address of its API."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    folder = tmp_path_factory.mktemp("prefect")
    shutil.copyfile(empty_prefect_database, folder / "prefect-test.db")
    # In the environment, since the server and the `nli` processes of the tests are to see them too.
    with pytest.MonkeyPatch.context() as patched:
        for name, value in QUIET.items():
            patched.setenv(name, value)
        patched.setattr("prefect.testing.utilities.mkdtemp", lambda: str(folder))
        no_heartbeats = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})  # as `nli` has it
        with no_heartbeats, prefect_test_harness(server_startup_timeout=120):
            yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def empty_tracking_database(make_once: MakeOnce) -> Path:
    """MLflow's tables."""
    from mlflow import MlflowClient

    def make(path: Path) -> None:
        MlflowClient(f"sqlite:///{path}").search_experiments()

    return make_once("mlflow.db", make)


def _name_places(folder: Path, environment: pytest.MonkeyPatch) -> None:
    """Name a folder's stage store and tracking database in the environment."""
    environment.setenv("NLI_STORE", str(folder / "store"))
    environment.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    environment.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    environment.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@pytest.fixture
def workplace(tmp_path: Path, empty_tracking_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stage store and a tracking database of its own, named in the environment."""
    shutil.copyfile(empty_tracking_database, tmp_path / "mlflow.db")
    _name_places(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def nli(prefect_server: str, workplace: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the `nli` command in a process of its own."""

    def run(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).with_name("nli")), *arguments]
        environment = {**os.environ, "PREFECT_API_URL": prefect_server, "COLUMNS": "200"}
        return subprocess.run(
            command, cwd=cwd or workplace, env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def nli_here(
    prefect_server: str, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the `nli` command in this process, which saves the start of another."""

    def run(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["nli", *arguments])
            patched.setattr(os, "environ", os.environ.copy())
            patched.setenv("PREFECT_API_URL", prefect_server)
            patched.setenv("COLUMNS", "200")
            patched.chdir(cwd or workplace)
            with pytest.raises(SystemExit) as ended:
                main()
        told = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def run_pipeline(
    prefect_server: str, workplace: Path, tiny_config: Callable[..., RunConfig]
) -> Callable[..., RunSummary]:
    """Runs the pipeline on the tiny config; sections can be overridden."""

    def run(
        *,
        rerun: list[Stage] | None = None,
        until: Stage = "evaluate",
        promote_as: str | None = None,
        **sections: dict[str, Any],
    ) -> RunSummary:
        config = tiny_config(**sections)
        return pipeline(config, recipe="tiny", rerun=rerun, until=until, promote_as=promote_as)

    return run


@pytest.fixture(scope="session")
def finished_workplace(
    prefect_server: str, empty_tracking_database: Path, tiny_config: Callable[..., RunConfig], make_once: MakeOnce
) -> Path:
    """A workplace where the tiny config has run; tests copy it."""

    def make(folder: Path) -> None:
        folder.mkdir()
        shutil.copyfile(empty_tracking_database, folder / "mlflow.db")
        with pytest.MonkeyPatch.context() as patched:
            _name_places(folder, patched)
            pipeline(tiny_config(), recipe="tiny")

    return make_once("finished", make)


@pytest.fixture
def finished_run(finished_workplace: Path, workplace: Path, run_pipeline: Callable[..., RunSummary]) -> RunSummary:
    """The tiny config has run in this test's workplace; every stage of this summary is cached."""
    shutil.copytree(finished_workplace, workplace, dirs_exist_ok=True)
    # The database names the folder that the run was made in, which `make_once` renamed.
    places = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
    with closing(sqlite3.connect(workplace / "mlflow.db")) as database, database:
        for table, column in places.items():
            moved = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            database.execute(moved, (str(finished_workplace.with_suffix(".partial")), str(workplace)))
    return run_pipeline()
