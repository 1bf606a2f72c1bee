"""What tests of all three packages share: a small encoder, small corpora, and the place of the real data."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import torch

from flows.cli.main import main
from flows.local.servers import free_port
from flows.pipeline import RunSummary, pipeline
from nli_core.config import Stage
from nli_core.download.corpora import sample_grammar
from nli_core.locks import FileLock
from nli_core.log import LOGGER
from nli_core.run.config import RunConfig, parse_config

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
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers x 32 in the Hugging Face layout, whose vocabulary covers the sample corpus."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-encoder")
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
    return folder


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


@pytest.fixture
def tiny_config(tiny_encoder: Path) -> Callable[..., RunConfig]:
    """Builds the config of a run of seconds: 360 sample pairs and the tiny encoder; sections can be overridden."""

    def build(**sections: dict[str, Any]) -> RunConfig:
        values: dict[str, dict[str, Any]] = {
            "corpus": {"name": "sample", "pairs": 360},
            "encoder": {"name": str(tiny_encoder)},
            "pack": {"max_length": 64, "rows_per_shard": 100},
            "finetune": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "log_every": 4, "precision": "fp32"},
            "evaluate": {"precision": "fp32"},
        }
        for section, fields in sections.items():
            replaces = section == "corpus" and "name" in fields
            values[section] = fields if replaces else {**values[section], **fields}
        return parse_config(values)

    return build


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
def empty_prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's tables, which take many seconds to create; all processes of the tests share them."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prefect.db"
    with FileLock(path.with_suffix(".lock")) as lock:
        lock.acquire()
        if not path.exists():
            made = path.with_suffix(".partial")
            address = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{made}"}
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
            subprocess.run(command, env={**os.environ, **QUIET, **address}, check=True, stdout=subprocess.DEVNULL)
            made.rename(path)
    return path


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
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    folder = tmp_path_factory.mktemp("prefect")
    shutil.copyfile(empty_prefect_database, folder / "prefect-test.db")
    # In the environment, since the server and the `nli` processes of the tests are to see them too.
    with pytest.MonkeyPatch.context() as patched:
        for name, value in QUIET.items():
            patched.setenv(name, value)
        patched.setattr("prefect.testing.utilities.mkdtemp", lambda: str(folder))
        with prefect_test_harness(server_startup_timeout=120):
            yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def empty_tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, which take seconds to create."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def workplace(tmp_path: Path, empty_tracking_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stage store and a tracking database of its own, named in the environment."""
    shutil.copyfile(empty_tracking_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("NLI_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
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


class MlflowServer:
    """A real tracking server that can be killed and started again over the same database."""

    def __init__(self, folder: Path) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self.address = f"http://127.0.0.1:{free_port()}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        self._command += ["--port", self.address.rpartition(":")[2], "--artifacts-destination", str(folder / "served")]
        self._command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Up within the block, unless it is killed."""
        server = subprocess.Popen(
            self._command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._processes.append(server)
        try:
            while True:
                assert server.poll() is None
                try:
                    requests.get(f"{self.address}/health", timeout=5).raise_for_status()
                    break
                except requests.RequestException:
                    time.sleep(0.1)
            yield
        finally:
            self.kill()

    def kill(self) -> None:
        """End whatever runs of it, children and all."""
        while self._processes:
            server = self._processes.pop()
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture
def mlflow_server(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """The tracking server of this test, which is not running yet; user name and password mean nothing to it."""
    server = MlflowServer(workplace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address.replace("//", "//me:tracking-secret@"))
    return server


@pytest.fixture
def tiny_settings(tiny_encoder: Path) -> list[str]:
    """Arguments that make the recipe `sample` a run of seconds."""
    values = {
        "corpus.pairs": 360,
        "encoder.name": str(tiny_encoder),
        "finetune.epochs": 2,
        "finetune.precision": "fp32",
        "finetune.log_every": 4,
        "evaluate.precision": "fp32",
    }
    return [word for name, value in values.items() for word in ("--set", f"{name}={json.dumps(value)}")]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What a webhook is told."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("NLI_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    yield messages
    server.shutdown()
    thread.join()
    server.server_close()
