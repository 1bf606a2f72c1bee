"""What tests of all three packages share; `fixtures` has the encoders, servers and finished runs."""

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from nli_core.locks import FileLock
from nli_core.log import LOGGER
from tasks.runtime.garbage import collect_rarely

pytest_plugins = [
    "tests.fixtures.encoders",
    "tests.fixtures.families",
    "tests.fixtures.recipes",
    "tests.fixtures.runs",
    "tests.fixtures.s3",
    "tests.fixtures.tokenizers",
]

PROJECT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """One thread a process, since tests run beside each other with tiny models; and no test fails for its speed."""
    collect_rarely()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    settings.register_profile("any speed", deadline=None)
    settings.load_profile("any speed")


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
