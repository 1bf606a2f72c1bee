"""A disk that fills up while the pipeline runs: a small tmpfs, mounted for real."""

import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.pipeline import RunSummary
from nli_core.store.store import Store

pytestmark = pytest.mark.faults("faults injected")

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Gives a folder on a disk of so many KiB; called again, makes the disk larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(kibibytes: int) -> Path:
        how = "remount," if folder.is_mount() else ""
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"{how}size={kibibytes}k", "tmpfs", str(folder)], check=True)
        return folder

    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("mounting a disk takes rights that this user has not")
    subprocess.run(["umount", str(folder)], check=True)
    yield resize
    subprocess.run(["umount", "--lazy", str(folder)], check=False)  # this process may hold files there


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_a_rerun_completes(
    finished_run: RunSummary,
    nli_here: Nli,
    tiny_settings: list[str],
    tmp_path: Path,
    disk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["run", "sample", *tiny_settings, "--set", "finetune.checkpoint_every=2", "--json"]
    used = sum(path.stat().st_size for path in Path(os.environ["NLI_STORE"]).rglob("*") if path.is_file()) // 1024

    store = disk(used // 4) / "inside" / "store"
    monkeypatch.setenv("NLI_STORE", str(store))
    for size in (used // 4, used // 2, used):
        disk(size)
        done = nli_here(*command)
        assert done.returncode == 2, done.stderr
        line = done.stderr.splitlines()[-1]
        assert line.startswith("nli: ")
        assert str(store.parent) in line
        assert "No space left" in line
        assert "Traceback" not in done.stderr
        assert Store(store).damages() == []
    disk(used * 10)
    again = json.loads(nli_here(*command).stdout.splitlines()[-1])
    assert again["metrics"] == finished_run.metrics
    assert not list(store.glob("*/*.partial"))


@pytest.mark.slow
def test_a_limit_of_file_size_is_one_line_and_a_rerun_completes(
    finished_run: RunSummary, nli: Nli, tiny_settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLI_STORE", str(tmp_path / "limited"))
    command = ["run", "sample", *tiny_settings, "--json"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        done = nli(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.returncode == 2, done.stderr
    assert "takes no more (File too large)" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert json.loads(nli(*command).stdout.splitlines()[-1])["metrics"] == finished_run.metrics
