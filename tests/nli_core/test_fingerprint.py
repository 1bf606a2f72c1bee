"""The digests are taken of a copy of the package that the tests may edit, in a process of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Digests = dict[str, dict[str, str]]
SCRIPT = """
import json
from nli_core.fingerprint import code_digests
entries = {"pack": "nli_core.data.pack", "finetune": "nli_core.training.finetune"}
print(json.dumps({stage: code_digests(entry) for stage, entry in entries.items()}))
"""


@pytest.fixture
def copied(tmp_path: Path, project: Path) -> Path:
    shutil.copytree(project / "nli_core", tmp_path / "nli_core")
    return tmp_path


@pytest.fixture
def digests(copied: Path) -> Callable[[], Digests]:
    def take() -> Digests:
        done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=copied, capture_output=True, text=True, check=True)
        found: Digests = json.loads(done.stdout)
        return found

    return take


def test_comments_docstrings_and_formatting_do_not_count(copied: Path, digests: Callable[[], Digests]) -> None:
    before = digests()
    edited = copied / "nli_core" / "training" / "optimizer.py"
    source = edited.read_text().replace('"""AdamW', '"""Another text: AdamW')
    edited.write_text("# a comment\n" + source.replace("step: int, total_steps", "step: int,   total_steps"))
    assert digests() == before


def test_an_edit_of_training_code_counts_for_finetune_and_not_for_pack(
    copied: Path, digests: Callable[[], Digests]
) -> None:
    before = digests()
    edited = copied / "nli_core" / "training" / "optimizer.py"
    edited.write_text(edited.read_text().replace("(step + 1)", "(step + 2)"))
    after = digests()
    assert after["pack"] == before["pack"]
    changed = {module for module, digest in after["finetune"].items() if before["finetune"][module] != digest}
    assert changed == {"nli_core.training.optimizer"}


def test_modules_are_found_through_indirect_imports_and_config_and_store_are_left_out(
    digests: Callable[[], Digests],
) -> None:
    finetune = digests()["finetune"]
    assert {"nli_core.training.finetune", "nli_core.model.encoder", "nli_core.data.ragged"} <= finetune.keys()
    assert not {"nli_core.config", "nli_core.store"} & finetune.keys()
    assert "nli_core.data.pack" not in finetune
