import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nli_core.download.encoders.pretrained import MINILM_SHA256, PretrainedEncoder
from nli_core.download.encoders.registry import EncoderConfig
from nli_core.download.origin import Origin
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

Download = Callable[[EncoderConfig], Origin]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/tiny"


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
            if path.startswith(f"/api/models/{REPOSITORY}/revision/"):
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


def test_minilm_comes_from_its_package_and_is_verified(download: Download, out: Path) -> None:
    origin = download(PretrainedEncoder(name="minilm-l6"))
    assert origin.verified
    assert origin.sha256 == MINILM_SHA256
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in out.iterdir()}


def test_a_local_folder_is_unverified_unless_a_digest_is_given(
    download: Download, out: Path, tiny_encoder: Path
) -> None:
    assert not download(PretrainedEncoder(name=str(tiny_encoder))).verified
    sha256 = hashlib.sha256((tiny_encoder / "model.safetensors").read_bytes()).hexdigest()
    assert download(PretrainedEncoder(name=str(tiny_encoder), sha256=sha256)).verified
    with pytest.raises(UserError, match="expected weights with sha256 0000"):
        download(PretrainedEncoder(name=str(tiny_encoder), sha256="0" * 64))


def test_a_local_folder_is_known_by_its_contents(tmp_path: Path, tiny_encoder: Path) -> None:
    copied = shutil.copytree(tiny_encoder, tmp_path / "copy")
    same = PretrainedEncoder(name=str(copied)).identity()
    assert same == PretrainedEncoder(name=str(tiny_encoder)).identity()
    with (copied / "vocab.txt").open("a") as file:
        file.write("more\n")
    assert same != PretrainedEncoder(name=str(copied)).identity()


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path, tiny_encoder: Path, missing: str) -> None:
    copied = shutil.copytree(tiny_encoder, tmp_path / "copy")
    (copied / missing).unlink()
    with pytest.raises(UserError, match=missing):
        PretrainedEncoder(name=str(copied)).identity()


def test_the_hub_is_asked_for_what_is_needed(download: Download, hub: str, out: Path, tiny_encoder: Path) -> None:
    config = PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=hub)
    origin = download(config)
    assert not origin.verified  # a mirror may serve anything under a commit's name
    assert (out / "model.safetensors").read_bytes() == (tiny_encoder / "model.safetensors").read_bytes()
    assert {path.name for path in out.iterdir()} == {"config.json", "model.safetensors", "vocab.txt"}


def test_what_the_hub_does_not_have_is_one_line(download: Download, hub: str, out: Path) -> None:
    with pytest.raises(UserError, match=r"HTTP 404.*encoder\.source") as error:
        download(PretrainedEncoder(name=f"hf:someone/else@{COMMIT}", source=hub))
    assert "someone/else" in str(error.value)


def test_a_hub_out_of_reach_is_one_line(download: Download, out: Path) -> None:
    config = PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source="http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"no connection.*encoder\.source"):
        download(config)


@pytest.mark.parametrize("name", ["hf:bert-base-uncased", "hf:owner/name", "hf:owner/name@"])
def test_a_hub_name_without_a_revision_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="hf:OWNER/NAME@REVISION"):
        PretrainedEncoder(name=name).identity()


def test_a_name_that_means_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"is unknown; give minilm-l6, .*d2l:bert\.small, .*transformer, or a folder"):
        PretrainedEncoder(name="bert-large").identity()


def test_a_local_folder_can_stand_in_for_the_hub(download: Download, out: Path, tiny_encoder: Path) -> None:
    config = PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=str(tiny_encoder))
    download(config)
    assert (out / "vocab.txt").exists()


def test_a_hub_that_answers_with_another_commit_is_refused(hub: str, download: Download) -> None:
    other = "f" * 40
    config = PretrainedEncoder(name=f"hf:{REPOSITORY}@{other}", source=hub)
    with pytest.raises(UserError, match=f"answered with the commit {COMMIT}"):
        download(config)


def test_a_mirror_has_its_own_key_without_a_digest() -> None:
    name = f"hf:{REPOSITORY}@{COMMIT}"
    mirror = "https://hub.mirror.example"
    identity = PretrainedEncoder(name=name).identity()
    assert PretrainedEncoder(name=name, source=mirror).identity() != identity
    known = PretrainedEncoder(name=name, sha256="0" * 64).identity()
    assert PretrainedEncoder(name=name, sha256="0" * 64, source=mirror).identity() == known


def test_a_missing_folder_is_named_by_its_field() -> None:
    with pytest.raises(UserError, match=r"encoder\.source: there is no folder /nowhere; give one with config\.json"):
        PretrainedEncoder(name="minilm-l6", source="/nowhere").identity()
