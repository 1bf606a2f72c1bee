"""An HTTP server that serves a folder, or misbehaves on purpose."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from nli_core.download.corpora.registry import CorpusConfig
from nli_core.download.encoders.registry import EncoderConfig
from nli_core.download.fetch import Fetcher
from nli_core.download.origin import Origin


@dataclass
class Server:
    """`folder` is served below `address`; `faults` maps a path to how the server answers it instead.

    A fault is a status, "503 once", "truncate", "stall" (half of the body, then nothing), or "to ADDRESS" (a redirect).
    """

    address: str
    folder: Path
    faults: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


@pytest.fixture(autouse=True)
def _no_waiting_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nli_core.download.fetch.time.sleep", lambda _: None)


@pytest.fixture
def server(serve: Callable[..., str], tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            state.authorizations.append(self.headers.get("Authorization"))
            fault = state.faults.get(self.path)
            file = folder / self.path.lstrip("/")
            if fault == "503 once":
                del state.faults[self.path]
                self.send_error(503)
            elif fault is not None and fault.startswith("to "):
                self.send_response(302)
                self.send_header("Location", fault.removeprefix("to "))
                self.end_headers()
            elif fault is not None and fault.isdigit():
                self.send_error(int(fault))
            elif not file.is_file():
                self.send_error(404)
            else:
                body = file.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault in ("truncate", "stall") else body)
                if fault == "stall":
                    self.wfile.flush()
                    over.wait()

    state = Server(f"http://{serve(Handler)}", folder)
    yield state
    over.set()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def download(out: Path, tmp_path: Path) -> Callable[[CorpusConfig | EncoderConfig], Origin]:
    """Downloads a corpus or an encoder to `out`."""

    def run(config: CorpusConfig | EncoderConfig) -> Origin:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return config.download(out, Fetcher(tmp_path / "cache", scratch))

    return run
