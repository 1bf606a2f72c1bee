"""What may go from a real bucket, of moto's server. The grace is shortened, since objects there are new."""

from datetime import timedelta
from pathlib import Path

import pytest

from nli_core.remote.bucket import Bucket
from nli_core.remote.checkpoints import RemoteCheckpoints
from nli_core.remote.outputs import RemoteOutputs
from nli_core.remote.sweep import damages_of, unneeded
from nli_core.store.manifest import Output
from nli_core.store.store import Store


@pytest.fixture
def outputs(s3: str, tmp_path: Path) -> list[Output]:
    """Two outputs in the bucket that share a file, and a checkpoint of each."""
    made = []
    bucket = Bucket(s3, setting="NLI_REMOTE")
    for number in (0, 1):
        with Store(tmp_path / "store").claim("finetune", {"number": number}) as claim:
            (claim.partial / "shared").write_bytes(b"shared")
            (claim.partial / "own").write_bytes(bytes([number]))
            made.append(claim.complete({}))
        RemoteOutputs(bucket).push(made[-1])
    for key in (made[0].key, "f" * 64):
        checkpoint = tmp_path / "step-00000001"
        checkpoint.mkdir(exist_ok=True)
        (checkpoint / "weights").write_text(key)
        RemoteCheckpoints(bucket, "finetune", key).push(checkpoint)
    return made


@pytest.fixture
def bucket(s3: str) -> Bucket:
    return Bucket(s3, setting="NLI_REMOTE")


def _names(bucket: Bucket) -> set[str]:
    return {entry.name for folder in ("blobs", "outputs", "checkpoints") for entry in bucket.entries(folder)}


def test_nothing_goes_before_the_grace_is_over(bucket: Bucket, outputs: list[Output]) -> None:
    bucket.write("blobs/lost", b"of a push that was cut off")
    assert unneeded(bucket, outputs_too=True).entries == []


def test_what_nobody_needs_goes_in_sweeps(
    bucket: Bucket, outputs: list[Output], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nli_core.remote.sweep.GRACE", timedelta(days=-1))
    bucket.write("blobs/lost", b"of a push that was cut off")
    kept, _ = outputs
    first = unneeded(bucket)
    assert {entry.name for entry in first.entries} == {
        "blobs/lost",
        f"checkpoints/finetune/{kept.key}/step-00000001.json",
    }
    assert first.delete() == 2
    assert unneeded(bucket).delete() == 1  # the file of the checkpoint that went
    assert unneeded(bucket).entries == []
    assert damages_of(bucket) == []
    assert RemoteOutputs(bucket).pull(kept.manifest, tmp_path / "pulled")
    assert RemoteCheckpoints(bucket, "finetune", "f" * 64).pull(tmp_path / "there", tmp_path / "scratch")
    assert unneeded(bucket, outputs_too=True).delete() == 2
    assert unneeded(bucket).delete() == 3
    assert {name.partition("/")[0] for name in _names(bucket)} == {"blobs", "checkpoints"}  # of the other training


def test_an_object_that_is_renewed_meanwhile_stays(
    bucket: Bucket, outputs: list[Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = f"blobs/{outputs[1].manifest.files['own'].sha256}"
    bucket.delete([f"outputs/finetune/{outputs[1].key}.json"])
    with monkeypatch.context() as aged:
        aged.setattr("nli_core.remote.sweep.GRACE", timedelta(days=-1))
        sweep = unneeded(bucket)
    assert own in {entry.name for entry in sweep.entries}
    while bucket.entry(own) in sweep.entries:  # moto's clock has seconds
        bucket.write(own, b"\x01")
    sweep.delete()
    assert own in _names(bucket)


def test_an_old_blob_that_a_push_meets_is_renewed(
    bucket: Bucket, outputs: list[Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"blobs/{outputs[0].manifest.files['own'].sha256}"
    before = bucket.entry(name)
    RemoteOutputs(bucket).push(outputs[0])
    assert bucket.entry(name) == before
    monkeypatch.setattr("nli_core.remote.blobs.GRACE", timedelta(days=-1))
    while bucket.entry(name) == before:
        RemoteOutputs(bucket).push(outputs[0])


def test_damage_is_named(bucket: Bucket, outputs: list[Output]) -> None:
    first, second = outputs
    shared, own = (first.manifest.files[name].sha256 for name in ("shared", "own"))
    bucket.write(f"blobs/{shared}", b"SHARED")
    bucket.delete([f"blobs/{own}"])
    bucket.write(f"outputs/finetune/{second.key}.json", b"{}")
    found = damages_of(bucket)
    assert f"{bucket.address}/outputs/finetune/{second.key}.json was altered since it was written" in found
    assert f"{bucket.address}/blobs/{shared} of finetune/{first.key[:12]} was altered" in found
    assert f"{bucket.address}/blobs/{own} of finetune/{first.key[:12]} is missing" in found
    assert len(found) == 3
