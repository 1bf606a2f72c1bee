"""Checkpoints in a real bucket, of moto's server."""

import hashlib
from pathlib import Path

import pytest

from nli_core.remote.bucket import Bucket
from nli_core.remote.checkpoints import RemoteCheckpoints

KEY = "0" * 64


@pytest.fixture
def remote(s3: str) -> RemoteCheckpoints:
    return RemoteCheckpoints(Bucket(s3, setting="NLI_REMOTE"), "finetune", KEY)


def _checkpoint(folder: Path, step: int) -> Path:
    checkpoint = folder / f"step-{step:08d}-epoch-0001"
    (checkpoint / "best").mkdir(parents=True)
    (checkpoint / "best" / "model").write_bytes(b"model" * 1000)
    (checkpoint / "weights").write_bytes(bytes([step]) * 1000)
    return checkpoint


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_newest_checkpoint_arrives_and_older_ones_go(remote: RemoteCheckpoints, tmp_path: Path) -> None:
    old, new = (_checkpoint(tmp_path / "here", step) for step in (10, 20))
    assert remote.pull(tmp_path / "there", tmp_path / "scratch") is None
    remote.push(old)
    remote.push(new)
    assert len(list(remote.bucket.entries("checkpoints"))) == 1
    assert remote.pull(tmp_path / "there", tmp_path / "scratch") == new.name
    assert _files(tmp_path / "there") == {f"{new.name}/{name}": body for name, body in _files(new).items()}
    remote.delete()
    assert list(remote.bucket.entries("checkpoints")) == []


def test_a_checkpoint_here_that_is_as_new_stays(remote: RemoteCheckpoints, tmp_path: Path) -> None:
    remote.push(_checkpoint(tmp_path / "here", 10))
    _checkpoint(tmp_path / "there", 10)
    before = _files(tmp_path / "there")
    assert remote.pull(tmp_path / "there", tmp_path / "scratch") is None
    assert _files(tmp_path / "there") == before


@pytest.mark.parametrize("body", [b"0", b"{}", b'{"../x": {"size": 1, "sha256": "a"}}', None])
def test_one_that_is_not_whole_is_passed_by_for_an_older_one(
    remote: RemoteCheckpoints, tmp_path: Path, body: bytes | None
) -> None:
    old, new = (_checkpoint(tmp_path / "here", step) for step in (10, 20))
    remote.push(new)
    remote.push(old)  # of another machine, which is behind
    if body is None:
        digest = hashlib.sha256((new / "weights").read_bytes()).hexdigest()
        remote.bucket.delete([f"blobs/{digest}"])
    else:
        remote.bucket.write(f"checkpoints/finetune/{KEY}/{new.name}.json", body)
    assert remote.pull(tmp_path / "there", tmp_path / "scratch") == old.name
    assert [path.name for path in (tmp_path / "there").iterdir()] == [old.name]
    assert list((tmp_path / "scratch").iterdir()) == []
