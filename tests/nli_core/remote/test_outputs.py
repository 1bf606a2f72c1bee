"""Outputs in a real bucket, of moto's server: whole and verified, or not at all."""

import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import boto3
import pytest

from nli_core.errors import UserError
from nli_core.remote.blobs import are_safe
from nli_core.remote.bucket import Bucket, BucketError
from nli_core.remote.outputs import RemoteOutputs
from nli_core.store.manifest import FileRecord, Manifest, Output
from nli_core.store.store import Store

FILES = {"model/weights": b"w" * 100_000, "model/config.json": b"{}", "empty": b"", "again": b"{}"}


@pytest.fixture
def remote(s3: str) -> RemoteOutputs:
    return RemoteOutputs(Bucket(s3, setting="NLI_REMOTE"))


def _make(folder: Path, files: dict[str, bytes] = FILES, number: int = 0) -> Output:
    with Store(folder).claim("finetune", {"number": number}, force=True) as claim:
        for name, body in files.items():
            (claim.partial / name).parent.mkdir(exist_ok=True)
            (claim.partial / name).write_bytes(body)
        return claim.complete({"accuracy": 0.5})


def _pull(remote: RemoteOutputs, output: Output, into: Path) -> Manifest | None:
    manifest = remote.manifest("finetune", output.key)
    return manifest if manifest and remote.pull(manifest, into) else None


def test_an_output_arrives_as_it_was_pushed(remote: RemoteOutputs, tmp_path: Path) -> None:
    output = _make(tmp_path / "store")
    assert remote.manifest("finetune", output.key) is None
    assert remote.push(output) == output.manifest
    assert _pull(remote, output, tmp_path / "pulled") == output.manifest
    assert {name: (tmp_path / "pulled" / name).read_bytes() for name in FILES} == FILES
    blobs = [entry.name for entry in remote.bucket.entries("blobs")]
    assert len(blobs) == 3  # equal files are one


def test_files_of_a_killed_pull_are_kept_if_they_are_whole(remote: RemoteOutputs, tmp_path: Path) -> None:
    output = _make(tmp_path / "store")
    remote.push(output)
    whole, half = tmp_path / "pulled" / "model" / "config.json", tmp_path / "pulled" / "model" / "weights"
    whole.parent.mkdir(parents=True)
    whole.write_bytes(FILES["model/config.json"])
    half.write_bytes(b"w" * 500)
    before = whole.stat().st_mtime_ns
    assert _pull(remote, output, tmp_path / "pulled")
    assert whole.stat().st_mtime_ns == before
    assert half.read_bytes() == FILES["model/weights"]


@pytest.mark.parametrize("body", [None, b"", b"v" * 100_000])
def test_a_missing_or_altered_blob_is_no_output_until_the_next_push(
    remote: RemoteOutputs, tmp_path: Path, logged: list[str], body: bytes | None
) -> None:
    output = _make(tmp_path / "store")
    remote.push(output)
    blob = f"blobs/{output.manifest.files['model/weights'].sha256}"
    if body is None:
        remote.bucket.delete([blob])
    else:
        remote.bucket.write(blob, body)
    assert _pull(remote, output, tmp_path / "pulled") is None
    assert logged[-1].startswith(f"{remote.bucket.address}/{blob} {'is missing' if body is None else 'was altered'}")
    assert not (tmp_path / "pulled" / "model" / "weights").exists()
    remote.push(output)
    assert _pull(remote, output, tmp_path / "pulled") == output.manifest


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.5", "0.9"),
        lambda text: text.replace("weights", "../../weights"),
        lambda text: "[" * 5000,
        lambda text: json.dumps({**json.loads(text), "files": {}}),
    ],
)
def test_an_altered_manifest_is_no_output(
    remote: RemoteOutputs, tmp_path: Path, logged: list[str], alter: Callable[[str], str]
) -> None:
    output = _make(tmp_path / "store")
    remote.push(output)
    name = f"outputs/finetune/{output.key}.json"
    text = (remote.bucket.read(name) or b"").decode()
    remote.bucket.write(name, alter(text).encode())
    assert remote.manifest("finetune", output.key) is None
    assert logged == [f"{remote.bucket.address}/{name} was altered since it was written"]
    assert remote.push(output) == output.manifest  # which mends it
    assert remote.manifest("finetune", output.key) == output.manifest


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "./x", "", "a/\0", "."])
def test_a_name_that_leads_elsewhere_is_not_safe(tmp_path: Path, name: str) -> None:
    record = FileRecord(size=1, sha256="0" * 64)
    assert not are_safe({"model/weights": record, name: record})
    assert are_safe(dict.fromkeys(["model/weights", "..x", "a b"], record))
    assert not are_safe({"model/weights": FileRecord(size=1, sha256="../outputs")})
    assert not are_safe(dict.fromkeys(["model", "model/weights"], record))


def test_a_sealed_manifest_with_a_name_that_leads_elsewhere_is_refused(remote: RemoteOutputs, tmp_path: Path) -> None:
    output = _make(tmp_path / "store")
    remote.push(output)
    record = output.manifest.files["empty"]
    evil = output.manifest.model_copy(update={"files": {"../evil": record}}).sealed()
    remote.bucket.write(f"outputs/finetune/{output.key}.json", evil.model_dump_json(by_alias=True).encode())
    assert remote.manifest("finetune", output.key) is None


def test_of_two_machines_the_first_wins(remote: RemoteOutputs, tmp_path: Path) -> None:
    first = _make(tmp_path / "first")
    second = _make(tmp_path / "second", {**FILES, "model/weights": b"other"})
    assert first.key == second.key
    assert remote.push(first) == first.manifest
    assert remote.push(second) == first.manifest
    assert remote.push(second, replace=True) == second.manifest
    assert _pull(remote, first, tmp_path / "pulled") == second.manifest


def test_of_many_machines_at_once_all_agree_on_one(remote: RemoteOutputs, tmp_path: Path) -> None:
    outputs = [_make(tmp_path / str(number), {"weights": bytes([number])}) for number in range(6)]
    start, taken = threading.Barrier(len(outputs)), []

    def push(output: Output) -> None:
        start.wait()
        taken.append(RemoteOutputs(Bucket(remote.bucket.address, setting="NLI_REMOTE")).push(output))

    threads = [threading.Thread(target=push, args=(output,)) for output in outputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(outputs)
    (winner,) = {manifest.sha256 for manifest in taken}
    assert winner in {output.manifest.sha256 for output in outputs}
    assert remote.manifest("finetune", outputs[0].key) == taken[0]


def test_a_winner_that_is_not_whole_is_replaced(remote: RemoteOutputs, tmp_path: Path) -> None:
    first = _make(tmp_path / "first", {"weights": b"first"})
    second = _make(tmp_path / "second", {"weights": b"second"})
    remote.push(first)
    remote.bucket.delete([f"blobs/{first.manifest.files['weights'].sha256}"])
    assert remote.push(second) == second.manifest


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("bucket/nli", "is no address of a bucket; give one that begins with s3://, gs://, az://"),
        ("https://bucket/nli", "is no address of a bucket"),
        ("s3://", "names no bucket"),
        ("s3://bucket:99/nli", "names no bucket"),
        ("s3://key:secret@bucket/nli", "keys belong into variables"),
        ("https://bucket/nli?X-Amz-Signature=secret", "https://bucket/nli is no address of a bucket"),
        ("s3://bucket/../other", "has a part that is empty or dots"),
        ("s3://bucket//nli", "has a part that is empty or dots"),
    ],
)
def test_an_address_that_is_none_is_one_line(address: str, named: str) -> None:
    with pytest.raises(UserError, match=r"^NLI_REMOTE: ") as error:
        Bucket(address, setting="NLI_REMOTE")
    assert named in str(error.value)
    assert "secret" not in str(error.value)


def test_a_bucket_that_does_not_answer_is_one_line(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BucketError, match=r"^s3://no-such-bucket/nli: there is no such bucket; `nli doctor`"):
        Bucket("s3://no-such-bucket/nli", setting="NLI_REMOTE").write("name", b"body")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("nli_core.remote.bucket._RETRIES", 0)
    away = Bucket(s3, setting="NLI_REMOTE")
    for attempt in (
        lambda: away.entry("name"),
        lambda: away.read("name"),
        lambda: away.write_new("name", b"body"),
        lambda: away.digest("name"),
        lambda: list(away.entries("blobs")),
        lambda: away.delete(["name"]),
    ):
        with pytest.raises(BucketError) as error:
            attempt()
        assert (
            str(error.value)
            == f"{s3}: HTTP error: error sending request; `nli doctor` checks the address, the network and the keys"
        )


@pytest.mark.parametrize("name", ["a b/c d", "a%20b/c%2Fd", "ä/世界", "a?b/c#d", "a+b/c&d=e", "a~b/[c]{d}*"])
def test_names_are_taken_as_they_are_written(s3: str, name: str) -> None:
    folder, _, file = name.partition("/")
    Bucket(f"{s3}/{folder}", setting="NLI_REMOTE").write(file, b"body")
    whole = Bucket(s3, setting="NLI_REMOTE")
    assert whole.read(name) == b"body"
    bucket, _, prefix = s3.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    assert client.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read() == b"body"


class _Slow(BaseHTTPRequestHandler):
    """Reads what it is sent slowly, and answers as S3 does."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 19)))
            time.sleep(0.3)
        self.send_response(200)
        self.send_header("ETag", '"mark"')
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.mark.parametrize(("least", "arrives"), [(1 << 20, True), (1 << 30, False)])
def test_a_slow_upload_has_the_time_that_its_size_takes(
    s3: str,
    serve: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    least: int,
    arrives: bool,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{serve(_Slow)}")
    for name, value in {"_SILENT_SECONDS": 1, "_LEAST_BYTES_A_SECOND": least, "_RETRIES": 0}.items():
        monkeypatch.setattr(f"nli_core.remote.bucket.{name}", value)
    (tmp_path / "model").write_bytes(bytes(6 << 20))  # in one request, for 3.6 seconds
    bucket = Bucket(s3, setting="NLI_REMOTE")
    if arrives:
        bucket.upload(tmp_path / "model", "model")
        return
    with pytest.raises(BucketError):
        bucket.upload(tmp_path / "model", "model")
