import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nli_core.errors import UserError
from nli_core.store.manifest import MANIFEST_NAME, Manifest
from nli_core.store.store import Store, output_key

INGREDIENTS = {"finetune": {"seed": 1}}


def _make(store: Store, text: str = "weights", ingredients: dict[str, Any] = INGREDIENTS) -> Any:
    with store.claim("finetune", ingredients) as claim:
        (claim.partial / "model").mkdir(exist_ok=True)
        (claim.partial / "model" / "file").write_text(text)
        return claim.complete({"steps": 3})


def test_a_finished_output_is_found_by_its_ingredients(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = _make(store)
    with store.claim("finetune", INGREDIENTS) as claim:
        assert claim.done is not None
        assert claim.done.manifest == made.manifest
        assert not claim.partial.exists()
    with store.claim("finetune", {"finetune": {"seed": 2}}) as claim:
        assert claim.done is None


def test_the_key_does_not_depend_on_the_order_of_ingredients() -> None:
    assert output_key("pack", {"a": 1, "b": 2}) == output_key("pack", {"b": 2, "a": 1})
    assert output_key("pack", {"a": 1}) != output_key("finetune", {"a": 1})


@pytest.mark.parametrize("damage", ["delete", "flip", "truncate", "manifest"])
def test_a_damaged_output_is_noticed_and_made_again(tmp_path: Path, damage: str, logged: list[str]) -> None:
    store = Store(tmp_path)
    file = _make(store).folder / "model" / "file"
    if damage == "delete":
        file.unlink()
    elif damage == "flip":
        file.write_text("weightz")
    elif damage == "truncate":
        file.write_text("")
    else:
        (file.parents[1] / MANIFEST_NAME).write_text("{}")
    with store.claim("finetune", INGREDIENTS) as claim:
        assert claim.done is None
    if damage != "manifest":
        assert str(file) in logged[0]
    assert _make(store).damage() is None


def test_an_output_of_a_later_version_is_no_leftover(tmp_path: Path) -> None:
    class LaterManifest(Manifest):
        invented: str = "later"

    store = Store(tmp_path)
    made = _make(store)
    fields = {**made.manifest.model_dump(by_alias=True), "sha256": ""}
    sealed = LaterManifest(**fields).sealed().model_dump_json(indent=1, by_alias=True)
    (made.folder / MANIFEST_NAME).write_text(sealed)
    assert "invented" in sealed
    assert (store.leftovers(), store.damages()) == ([], [])
    with store.claim("finetune", INGREDIENTS) as claim:
        assert claim.done is not None


def test_a_failed_stage_leaves_its_work_but_no_output(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.claim("finetune", INGREDIENTS) as claim:
        (claim.partial / "checkpoint").write_text("half")
        raise RuntimeError
    assert store.outputs("finetune") == []
    assert len(store.leftovers()) == 1
    with store.claim("finetune", INGREDIENTS) as claim:
        assert claim.done is None
        assert (claim.partial / "checkpoint").read_text() == "half"
    with store.claim("finetune", INGREDIENTS, force=True) as claim:
        assert not (claim.partial / "checkpoint").exists()


def test_folders_that_are_not_the_stores_are_no_leftovers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    output = _make(store)
    for name in ("notes", "notes.partial", output.key[:12]):
        (tmp_path / "finetune" / name).mkdir()
    assert store.leftovers() == store.damages() == []


def test_a_link_that_leads_nowhere_is_refused_before_work(tmp_path: Path) -> None:
    output = _make(Store(tmp_path))
    output.folder.rename(tmp_path / "elsewhere")
    output.folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is a link that leads nowhere; delete it"):
        _make(Store(tmp_path))
    output.folder.unlink()
    output.folder.symlink_to(tmp_path / "elsewhere")
    with Store(tmp_path).claim("finetune", INGREDIENTS) as claim:
        assert claim.done is not None


def test_a_manifest_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    output = _make(Store(tmp_path))
    (output.folder / MANIFEST_NAME).unlink()
    os.mkfifo(output.folder / MANIFEST_NAME)
    assert Store(tmp_path).load("finetune", output.key) is None
    assert _make(Store(tmp_path)).damage() is None


def test_forced_work_replaces_the_output_only_when_it_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = _make(store, "old")
    with pytest.raises(RuntimeError), store.claim("finetune", INGREDIENTS, force=True):
        raise RuntimeError
    assert old.damage() is None
    with store.claim("finetune", INGREDIENTS, force=True) as claim:
        (claim.partial / "file").write_text("new")
        new = claim.complete({})
    assert (new.folder / "file").read_text() == "new"
    assert store.outputs("finetune") == [new]


def test_a_replacement_killed_between_its_renames_loses_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = _make(store, "old")
    old.folder.rename(old.folder.with_name(old.folder.name + ".discarded"))
    with store.claim("finetune", INGREDIENTS) as claim:
        assert claim.done is not None
        assert claim.done.damage() is None


def test_an_output_killed_before_its_rename_is_completed_as_ever(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = _make(store)
    whole.folder.rename(whole.folder.with_name(whole.folder.name + ".partial"))
    (whole.folder.with_name(whole.folder.name + ".partial") / ".manifest.json.1.partial").write_text("half")
    again = _make(store)
    assert again.manifest.files == whole.manifest.files
    assert store.damages() == []


COUNT_WORK = """
import sys
from pathlib import Path
from nli_core.store.store import Store
with Store(Path(sys.argv[1])).claim("pack", {"same": "work"}) as claim:
    if claim.done is None:
        with open(sys.argv[2], "a") as log:
            log.write("worked\\n")
        (claim.partial / "file").write_text("x")
        claim.complete({})
"""

HOLD = """
import sys, time
from pathlib import Path
from nli_core.store.store import Store
with Store(Path(sys.argv[1])).claim("pack", {"held": True}) as claim:
    (claim.partial / "half").write_text("half a shard")
    print("holding", flush=True)
    time.sleep(600)
"""


def _python(script: str, *arguments: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_want_the_same_do_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [_python(COUNT_WORK, tmp_path / "store", log) for _ in range(3)]
    for worker in workers:
        worker.communicate()
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert log.read_text() == "worked\n"


def test_a_killed_holder_leaves_no_lock_and_no_output(tmp_path: Path) -> None:
    with _python(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        store = Store(tmp_path)
        key = output_key("pack", {"held": True})
        assert store.in_use("pack", key)
        holder.kill()
    with store.claim("pack", {"held": True}) as claim:
        assert claim.done is None
        assert (claim.partial / "half").exists()
    assert not store.in_use("pack", key)


def test_digest_covers_names_and_contents_below_the_prefixes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = _make(store, "a", {"n": 1}), _make(store, "b", {"n": 2})
    same = _make(store, "a", {"n": 3})
    assert one.digest("model/") == same.digest("model/") != two.digest("model/")
    assert one.digest() != two.digest()
    assert one.digest("elsewhere/") == two.digest("elsewhere/")
