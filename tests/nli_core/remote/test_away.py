"""A bucket that goes away after any number of requests, and comes back: outputs are whole there, or not there."""

import http.client
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nli_core.remote.bucket import Bucket, BucketError
from nli_core.remote.outputs import RemoteOutputs
from nli_core.store.manifest import Output
from nli_core.store.store import Store

pytestmark = [pytest.mark.faults("faults injected"), pytest.mark.slow]

FILES = {"model/weights": b"w" * 300_000, "model/config.json": b"{}", "log": b"step"}
_MOST = 100  # requests that a push or a pull of this output may take


class Gate:
    """Stands before a server and lets `left` requests through; then it closes connections, some half-way."""

    def __init__(self, server: str) -> None:
        self.left = 0
        self.cuts_answers = False
        gate, target = self, urlsplit(server).netloc

        class Forward(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.close_connection = True
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                gate.left -= 1
                if gate.left < 0 and not (gate.cuts_answers and gate.left == -1):
                    return
                onward = http.client.HTTPConnection(target, timeout=20)
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                content = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content if gate.left >= 0 else content[: len(content) // 2])

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(params=[False, True], ids=["between requests", "within an answer"])
def gate(s3: str, s3_server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    opened = Gate(s3_server)
    opened.cuts_answers = request.param
    monkeypatch.setenv("AWS_ENDPOINT_URL", opened.address)
    monkeypatch.setattr("nli_core.remote.bucket._RETRIES", 0)
    yield opened
    opened.close()


@pytest.fixture
def output(tmp_path: Path) -> Output:
    with Store(tmp_path / "store").claim("finetune", {}) as claim:
        for name, body in FILES.items():
            (claim.partial / name).parent.mkdir(exist_ok=True)
            (claim.partial / name).write_bytes(body)
        return claim.complete({})


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_push_that_is_cut_off_anywhere_leaves_a_whole_output_or_none(
    gate: Gate, s3: str, output: Output, tmp_path: Path
) -> None:
    remote = RemoteOutputs(Bucket(s3, setting="NLI_REMOTE"))
    failures = 0
    for allowed in range(_MOST):
        gate.left = allowed
        try:
            remote.push(output)
        except BucketError:
            failures += 1
            gate.left = _MOST
            if found := remote.manifest("finetune", output.key):
                assert remote.pull(found, tmp_path / str(allowed))
                assert _contents(tmp_path / str(allowed)) == FILES
            continue
        break
    gate.left = _MOST
    found = remote.manifest("finetune", output.key)
    assert found == output.manifest
    assert remote.pull(found, tmp_path / "whole")
    assert _contents(tmp_path / "whole") == FILES
    assert 4 < failures < _MOST


def test_a_pull_that_is_cut_off_anywhere_goes_on_where_it_was(
    gate: Gate, s3: str, output: Output, tmp_path: Path
) -> None:
    remote = RemoteOutputs(Bucket(s3, setting="NLI_REMOTE"))
    gate.left = _MOST
    remote.push(output)
    failures = 0
    for allowed in itertools.count():
        into = tmp_path / f"pulled-{allowed}"
        gate.left = allowed
        try:
            found = remote.manifest("finetune", output.key)
            done = found is not None and remote.pull(found, into)
        except BucketError:
            done = False
        if done:
            break
        failures += 1
        gate.left = _MOST
        again = remote.manifest("finetune", output.key)
        assert again is not None
        assert remote.pull(again, into)
        assert _contents(into) == FILES
    assert failures >= len(FILES)
