import gzip
import hashlib
import shutil
import socket
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread

import pytest

from nli_core.download.fetch import Fetcher
from nli_core.errors import UserError
from nli_core.urls import without_password

pytestmark = pytest.mark.faults("inputs tried")

BODY = b"some bytes " * 5000
SHA256 = hashlib.sha256(BODY).hexdigest()
REMEDY = "set corpus.source=..."


def _fetch(address: str, folder: Path, sha256: str | None = SHA256) -> Path:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    return Fetcher(folder / "cache", scratch).fetch(address, digest=sha256, remedy=REMEDY)


def _refusal(address: str, folder: Path, sha256: str | None = SHA256) -> str:
    with pytest.raises(UserError) as error:
        _fetch(address, folder, sha256)
    message = str(error.value)
    assert address in message
    assert REMEDY in message
    assert "\n" not in message
    assert not list((folder / "cache").glob("*"))
    return message


@contextmanager
def _self_signed_server(folder: Path) -> Iterator[str]:
    """Serve TLS with a certificate of no authority, as a company's proxy does; yield the address."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_verified_file_is_fetched_once(server, tmp_path: Path) -> None:
    (server.folder / "corpus.zip").write_bytes(BODY)
    first = _fetch(f"{server.address}/corpus.zip", tmp_path)
    assert first.read_bytes() == BODY
    assert _fetch(f"{server.address}/corpus.zip", tmp_path) == first
    assert len(server.requests) == 1


def test_a_kept_file_that_was_altered_is_fetched_again(server, tmp_path: Path) -> None:
    (server.folder / "corpus.zip").write_bytes(BODY)
    _fetch(f"{server.address}/corpus.zip", tmp_path).write_bytes(b"altered")
    assert _fetch(f"{server.address}/corpus.zip", tmp_path).read_bytes() == BODY


def test_without_a_digest_the_file_is_fetched_anew_each_time(server, tmp_path: Path) -> None:
    (server.folder / "corpus.zip").write_bytes(BODY)
    _fetch(f"{server.address}/corpus.zip", tmp_path, sha256=None)
    (server.folder / "corpus.zip").write_bytes(b"newer")
    assert _fetch(f"{server.address}/corpus.zip", tmp_path, sha256=None).read_bytes() == b"newer"


def test_a_passing_fault_is_tried_again(server, tmp_path: Path) -> None:
    (server.folder / "corpus.zip").write_bytes(BODY)
    server.faults["/corpus.zip"] = "503 once"
    assert _fetch(f"{server.address}/corpus.zip", tmp_path).read_bytes() == BODY
    assert len(server.requests) == 2


def test_an_address_with_https_of_a_plain_server_is_named(server, tmp_path: Path) -> None:
    assert "does the server speak https?" in _refusal(f"https{server.address.removeprefix('http')}/a.zip", tmp_path)


def test_a_certificate_that_nobody_signed_is_named(tmp_path: Path) -> None:
    with _self_signed_server(tmp_path) as address:
        assert "self-signed certificate), name its authority" in _refusal(f"{address}/corpus.zip", tmp_path)


def test_four_faults_have_four_messages(server, tmp_path: Path) -> None:
    (server.folder / "wrong.zip").write_bytes(b"something else")
    (server.folder / "short.zip").write_bytes(BODY)
    server.faults["/short.zip"] = "truncate"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed_port = unused.getsockname()[1]
    messages = [
        _refusal(f"{server.address}/wrong.zip", tmp_path),
        _refusal(f"{server.address}/missing.zip", tmp_path),
        _refusal(f"{server.address}/short.zip", tmp_path),
        _refusal(f"http://127.0.0.1:{closed_port}/corpus.zip", tmp_path),
    ]
    wrong, missing, short, unreachable = messages
    assert f"expected sha256 {SHA256}, got {hashlib.sha256(b'something else').hexdigest()}" in wrong
    assert "404" in missing
    assert "ends before the announced length" in short
    assert "no connection" in unreachable
    assert len(server.requests) == 1 + 1 + 4  # a wrong digest and a 404 are final; a short body is tried again


def test_a_server_that_stays_down_is_named_with_its_status(server, tmp_path: Path) -> None:
    server.faults["/corpus.zip"] = "500"
    assert "500" in _refusal(f"{server.address}/corpus.zip", tmp_path)


def test_a_server_that_goes_silent_is_given_up(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nli_core.download.fetch._SILENT_SECONDS", 0.2)
    (server.folder / "corpus.zip").write_bytes(BODY)
    server.faults["/corpus.zip"] = "stall"
    assert "went silent" in _refusal(f"{server.address}/corpus.zip", tmp_path)
    assert len(server.requests) == 4


@contextmanager
def _answering(answer: bytes, *, drop_seconds: float = 0.0) -> Iterator[str]:
    """Serve one answer, header and all, to every request; with `drop_seconds`, a byte of it at a time."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            head, body = answer.split(b"\r\n\r\n", 1)
            self.wfile.write(head + b"\r\n\r\n")
            for piece in [bytes([byte]) for byte in body] if drop_seconds else [body]:
                with suppress(OSError):
                    self.wfile.write(piece)
                over.wait(drop_seconds)

    over = Event()
    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        over.set()
        server.shutdown()
        thread.join()


PACKED = gzip.compress(BODY)


@pytest.mark.parametrize(
    ("head", "body", "named"),
    [
        ("200 OK\r\nContent-Length: abc", BODY, "breaks HTTP"),
        ("200 OK\r\nContent-Length: -5", BODY, "breaks HTTP"),
        ("206 Partial Content\r\nContent-Length: 4", b"some", "expected a whole file, the server answered HTTP 206"),
        ("204 No Content", b"", "expected a whole file, the server answered HTTP 204"),
        (f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(PACKED) - 9}", PACKED[:-9], "not an intact gzip"),
        ("200 OK\r\nContent-Encoding: br", b"?", "encoded as br, though asked not to"),
        (f"200 OK\r\nContent-Length: {2**60}", b"", "announces 1,152,921,504,606,846,976 bytes, and the disk has room"),
        ("200 OK\r\nTransfer-Encoding: chunked", b"5\r\nsome \r\n", "ends before the announced length"),
    ],
)
def test_an_answer_that_is_no_whole_file_is_refused(tmp_path: Path, head: str, body: bytes, named: str) -> None:
    with _answering(f"HTTP/1.1 {head}\r\n\r\n".encode() + body) as address:
        assert named in _refusal(f"{address}/corpus.csv", tmp_path, sha256=None)


def test_a_body_encoded_as_gzip_arrives_plain(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    with _answering(head + PACKED) as address:
        assert _fetch(f"{address}/corpus.csv", tmp_path).read_bytes() == BODY
        whole = tmp_path / "whole"
        assert _fetch(f"{address}/corpus.csv.gz", whole, sha256=None).read_bytes() == PACKED  # a file named so


def test_a_body_that_swells_beyond_measure_is_refused(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    bomb = gzip.compress(bytes(200_000_000))
    with _answering(head + bomb) as address, pytest.raises(UserError, match="swells to more than"):
        _fetch(f"{address}/corpus.csv", tmp_path, sha256=None)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 100_000_000


def test_a_body_without_an_end_leaves_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=5_000)
    monkeypatch.setattr("nli_core.download.fetch.shutil.disk_usage", lambda _: usage)
    with _answering(b"HTTP/1.1 200 OK\r\n\r\n" + BODY) as address:
        assert "that the disk has room for" in _refusal(f"{address}/corpus.csv", tmp_path, sha256=None)


def test_a_server_that_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nli_core.download.fetch._SILENT_SECONDS", 0.3)
    with _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 55000\r\n\r\n" + BODY, drop_seconds=0.02) as address:
        assert "less than 1024 bytes a second" in _refusal(f"{address}/corpus.csv", tmp_path)


@pytest.mark.parametrize("path", ["a/..", "a/.", "n" * 300, f"{'n' * 300}.csv", ""])
def test_any_address_gives_a_name_that_a_file_can_have(tmp_path: Path, path: str) -> None:
    with _answering(b"HTTP/1.1 200 OK\r\n\r\n" + BODY) as address:
        fetched = _fetch(f"{address}/{path}", tmp_path)
    assert fetched.read_bytes() == BODY
    assert fetched.name.endswith(".csv") == path.endswith(".csv")


def test_a_redirect_is_followed_to_another_http_address_only(server, tmp_path: Path) -> None:
    (server.folder / "corpus.zip").write_bytes(BODY)
    server.faults["/moved.zip"] = "to /corpus.zip"
    assert _fetch(f"{server.address}/moved.zip", tmp_path / "moved").read_bytes() == BODY
    secret = tmp_path / "secret.zip"
    secret.write_bytes(BODY)
    server.faults["/elsewhere.zip"] = f"to file://{secret}"
    assert "redirects to something else" in _refusal(f"{server.address}/elsewhere.zip", tmp_path, sha256=None)


def test_passwords_come_from_netrc_unless_the_address_has_one(
    server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password kept\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (server.folder / "corpus.zip").write_bytes(BODY)
    _fetch(f"{server.address}/corpus.zip", tmp_path / "one")
    _fetch(f"{server.address}/corpus.zip".replace("//", "//you:other@"), tmp_path / "two")
    sent = [b64decode(str(value).removeprefix("Basic ")).decode() for value in server.authorizations]
    assert sent == ["me:kept", "you:other"]


def test_unverified_files_of_one_name_stay_apart(server, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (server.folder / folder).mkdir()
        (server.folder / folder / "corpus.zip").write_bytes(folder.encode())
    fetched = [_fetch(f"{server.address}/{name}/corpus.zip", tmp_path / name, sha256=None) for name in ("one", "two")]
    assert [path.read_bytes() for path in fetched] == [b"one", b"two"]


def test_a_malformed_netrc_or_address_is_one_line(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(UserError, match="is no valid netrc file"):
        _fetch(f"{server.address}/corpus.zip", tmp_path)
    with pytest.raises(UserError, match="is no valid address"):
        _fetch("http://[::1/x", tmp_path)


def test_a_local_path_is_used_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "corpus.zip"
    path.write_bytes(BODY)
    assert _fetch(str(path), tmp_path) == path
    with pytest.raises(UserError, match="expected sha256"):
        _fetch(str(path), tmp_path, sha256="0" * 64)
    with pytest.raises(UserError, match="there is no such file"):
        _fetch(str(tmp_path / "missing.zip"), tmp_path)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@host:8080/a/b.zip", "https://host:8080/a/b.zip"),
        ("https://host/a.zip", "https://host/a.zip"),
        ("/a/local@path.zip", "/a/local@path.zip"),
        ("postgresql://me:secret@db/mlflow", "postgresql://db/mlflow"),
    ],
)
def test_passwords_are_not_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown
