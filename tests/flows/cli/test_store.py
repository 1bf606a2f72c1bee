import subprocess
from collections.abc import Callable
from pathlib import Path

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_pruning_keeps_what_mlflow_refers_to(nli_here: Nli, tiny_settings: list[str], workplace: Path) -> None:
    nli_here("run", "sample", *tiny_settings, "--until", "pack")
    kept = list(workplace.glob("store/*/*/manifest.json"))
    assert len(kept) == 2
    dry = nli_here("store", "prune")
    assert dry.stdout.count("would delete") == 2
    assert "--delete" in dry.stdout
    assert all(path.exists() for path in kept)
    assert nli_here("store", "prune", "--delete").stdout.count("deleted ") >= 2
    assert not any(path.exists() for path in kept)
