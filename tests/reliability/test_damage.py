"""Whatever happens to a file of the store is noticed before the file is used."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nli_core.store.store import Store

pytestmark = pytest.mark.faults("faults injected")

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _make_unreadable(path: Path) -> None:
    """Not by its mode, which means nothing to root."""
    path.unlink()
    path.mkdir()


@pytest.mark.usefixtures("finished_run")
@pytest.mark.slow
def test_every_damage_to_every_file_is_found(workplace: Path, flip_byte: Callable[[Path], None]) -> None:
    store = Store(workplace / "store")
    assert store.damages() == []
    files = [path for path in store.root.glob("*/*/**/*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        body = path.read_bytes()
        damages = [flip_byte, _truncate, Path.unlink, _make_unreadable] if body else [Path.unlink, _make_unreadable]
        for damage in damages:
            damage(path)
            (found,) = store.damages()
            assert str(path) in found
            if path.is_dir():
                path.rmdir()
            path.write_bytes(body)
    assert store.damages() == []


@pytest.mark.usefixtures("finished_run")
@pytest.mark.parametrize("damaged", ["train-00000.arrow", pytest.param("manifest.json", marks=pytest.mark.slow)])
def test_a_damaged_file_is_named_and_made_again(
    nli_here: Nli, tiny_settings: list[str], workplace: Path, flip_byte: Callable[[Path], None], damaged: str
) -> None:
    before = shutil.copytree(workplace / "store", workplace / "before")
    path = next((workplace / "store").glob(f"*/*/{damaged}"))
    flip_byte(path)
    verified = nli_here("store", "verify")
    assert verified.returncode == 2
    assert str(path) in verified.stdout
    again = nli_here("run", "sample", *tiny_settings)
    assert again.returncode == 0
    assert f"{path} was altered since it was written" in " ".join(again.stderr.split())
    name = path.relative_to(workplace / "store")
    if damaged != "manifest.json":  # which says when it was made
        assert path.read_bytes() == (before / name).read_bytes()
    assert nli_here("store", "verify").returncode == 0
