"""Digests are kept beside the bytecode, and never outlive the sources that they are of."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.modules import load_module

ENTRY = "nli_core.data.pack_shard:pack_shard"


@pytest.fixture
def core(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the core, beside which Python may write."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(project / "nli_core", tmp_path / "nli_core", ignore=ignored))


def _load(core: Path) -> Any:
    return load_module(core / "fingerprint" / "code.py", "copied_fingerprint")


def _kept(core: Path) -> list[Path]:
    return list((core / "fingerprint" / "__pycache__").glob("code-*.json"))


def test_another_process_parses_nothing(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _load(core).code_of(ENTRY)
    assert len(_kept(core)) == 1
    another = _load(core)
    monkeypatch.setattr(another.ast, "parse", lambda _text: pytest.fail("a module was parsed"))
    assert vars(another.code_of(ENTRY)) == vars(first)


def test_an_edit_of_any_source_is_seen(core: Path) -> None:
    before = _load(core).code_of(ENTRY)
    path = core / "data" / "examples" / "windows.py"
    path.write_text(path.read_text().replace("_OVERLAP = 4 ", "_OVERLAP = 5 "))
    after = _load(core).code_of(ENTRY)
    assert before.digest != after.digest
    assert len(_kept(core)) == 1
    path.write_text(path.read_text().replace("_OVERLAP = 5 ", "_OVERLAP = 4 "))
    assert _load(core).code_of(ENTRY).digest == before.digest


@pytest.mark.faults("inputs tried")
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"sources": 1}', "null"])
def test_a_damaged_file_is_written_again(core: Path, damage: str) -> None:
    whole = _load(core).code_of(ENTRY)
    (path,) = _kept(core)
    content = path.read_text()
    path.write_text(damage)
    assert _load(core).code_of(ENTRY).digest == whole.digest
    assert path.read_text() == content


def test_nothing_is_kept_where_python_writes_no_bytecode(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    _load(core).code_of(ENTRY)
    assert _kept(core) == []


def test_a_folder_that_cannot_be_written_is_no_fault(core: Path) -> None:
    (core / "fingerprint" / "__pycache__").write_text("a file in the way")
    assert len(_load(core).code_of(ENTRY).digest) == 64
