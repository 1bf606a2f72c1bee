"""The order in which an output reaches the disk, seen at the level of system calls."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults("faults injected")

SCRIPT = """
import sys
from pathlib import Path
from nli_core.store.store import Store
with Store(Path(sys.argv[1])).claim("finetune", {"seed": 1}) as claim:
    (claim.partial / "model").mkdir()
    (claim.partial / "model" / "weights").write_text("weights")
    (claim.partial / "history").write_text("history")
    claim.complete({})
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_files_are_flushed_before_the_rename_folders_after(tmp_path: Path) -> None:
    """As Pillai et al. (OSDI 2014) ask for: what a name leads to is whole, whenever the power fails."""
    store, trace = tmp_path / "store", tmp_path / "trace"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2"
    subprocess.run(
        ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", SCRIPT, str(store)], check=True
    )
    lines = trace.read_text().splitlines()
    (folder,) = (path for path in (store / "finetune").iterdir())
    partial = f"{folder}.partial"
    synced = [match[1] if (match := re.search(r"f(?:data)?sync\(\d+<([^>]*)>", line)) else None for line in lines]
    renames = [place for place, line in enumerate(lines) if "rename" in line and f'"{folder}"' in line]
    (final,) = renames
    before, after = set(synced[:final]), set(synced[final:])
    made = {partial, *(str(path).replace(str(folder), partial) for path in folder.rglob("*"))}
    # The manifest is written under another name first, and then renamed.
    manifest = next(name for name in before if name and "manifest.json" in name)
    assert made - {f"{partial}/manifest.json"} <= before
    assert manifest.startswith(f"{partial}/.manifest.json.")
    last_file = max(place for place, name in enumerate(synced[:final]) if name and name != manifest and name != partial)
    assert last_file < synced.index(manifest)
    assert str(folder.parent) in after
