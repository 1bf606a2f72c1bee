import subprocess
from collections.abc import Callable
from pathlib import Path

from flows.summary import RunSummary

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_pruning_touches_nothing_behind_a_link(
    nli_here: Nli, finished_run: RunSummary, workplace: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text("mine")
    link = workplace / "store" / "finetune" / "link"
    link.symlink_to(mine)
    done = nli_here("store", "prune", "--all", "--delete")
    assert done.returncode == 0, done.stderr
    assert (mine / "manifest.json").read_text() == "mine"
    assert link.is_symlink()


def test_models_of_a_store_without_its_mlflow_are_kept(
    nli_here: Nli, finished_run: RunSummary, workplace: Path
) -> None:
    (workplace / "mlflow.db").unlink()
    done = nli_here("store", "prune", "--delete")
    assert done.returncode == 2
    assert "has no run of this store, whose models would all be deleted" in done.stderr.splitlines()[-1]
    assert len(list(workplace.glob("store/*/*/manifest.json"))) == 6


def test_pruning_keeps_what_mlflow_refers_to(nli_here: Nli, tiny_settings: list[str], workplace: Path) -> None:
    nli_here("run", "sample", *tiny_settings, "--until", "pack")
    kept = list(workplace.glob("store/*/*/manifest.json"))
    assert len(kept) == 3
    dry = nli_here("store", "prune")
    assert dry.stdout.count("would delete") == 3
    assert "--delete" in dry.stdout
    assert all(path.exists() for path in kept)
    assert nli_here("store", "prune", "--delete").stdout.count("deleted ") >= 3
    assert not any(path.exists() for path in kept)
