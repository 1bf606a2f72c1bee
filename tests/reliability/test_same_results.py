"""Code that is said to repeat the results of earlier code does: outputs of both have the same keys and bytes."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

# The last commit whose results the code of now repeats, as `SAME_RESULTS` says.
COMMIT = "a937014f8760f80d64e8de1796f0a2a2f07c4b9f"
RUN = "from flows.cli.entry import main; main()"
# What says when and where something was made, or which is read by no later stage.
CHANGING = {"position.json", "digests.json", "manifest.json"}


@pytest.fixture(scope="module")
def earlier(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it was at the commit."""
    archive = subprocess.run(["git", "archive", COMMIT], cwd=project, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"this clone has no commit {COMMIT}")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def home(tmp_path: Path, prefect_home: Path) -> Path:
    """A folder for two stores; servers are temporary ones."""
    return tmp_path


@pytest.fixture(params=["sample", "snli-bert-small", "ag-news-transformer", "snli-modernbert", "long-text-example"])
def words(
    request: pytest.FixtureRequest,
    tiny_settings: list[str],
    tiny_encoder: Path,
    small_snli: Path,
    small_news: Path,
    shared_data: Path,
    family_encoder: Callable[[str], Path],
    tmp_path: Path,
) -> list[str]:
    """A recipe for an architecture or for files, and settings that make it small."""
    rows = [line.split(",", 1) for line in (small_news / "train.csv").read_text().splitlines()]
    documents = tmp_path / "documents.csv"
    documents.write_text("text,label\n" + "".join(f"{texts.replace(',', ' ')},{label}\n" for label, texts in rows))
    sizes = {"hidden_size": 32, "intermediate_size": 64, "heads": 4, "layers": 2, "positions": 64}
    archive = shared_data / "d2l_oracle" / "bert.tiny.torch.zip"
    quick = ["finetune.epochs=1", "finetune.precision=fp32", "evaluate.precision=fp32"]
    settings = {
        "sample": [],
        "snli-bert-small": [
            *(f"encoder.{name}={size}" for name, size in sizes.items()),
            f"corpus.source={small_snli}",
            f"encoder.source={archive}",
            "pack.max_length=64",
        ],
        "ag-news-transformer": [f"corpus.source={small_news}"],
        "snli-modernbert": [
            f"corpus.source={small_snli}",
            f"encoder.source={family_encoder('modernbert')}",
            "pack.max_length=62",
            "evaluate.challenges=[]",
        ],
        "long-text-example": [
            f"corpus.train={documents}",
            f"encoder.name={tiny_encoder}",
            "pack.max_length=24",
            "finetune.class_weights=balanced",
            "finetune.label_smoothing=0.1",
            "finetune.evaluate_every=5",
            "finetune.ema=0.9",
        ],
    }[request.param]
    small = [word for each in [*settings, *quick] for word in ("--set", each)]
    return [request.param, *(tiny_settings if request.param == "sample" else small)]


def _run(tree: Path, store: Path, words: list[str]) -> dict[str, dict[str, str]]:
    places = {"NLI_STORE": str(store), "MLFLOW_TRACKING_URI": f"sqlite:///{store.parent / 'mlflow.db'}"}
    command = [sys.executable, "-c", RUN, "run", *words, "--json"]
    done = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, **places, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs: dict[str, dict[str, str]] = json.loads(done.stdout.splitlines()[-1])["outputs"]
    return outputs


def _digests(output: dict[str, str]) -> dict[str, str]:
    manifest = json.loads((Path(output["path"]) / "manifest.json").read_text(encoding="utf-8"))
    return {name: file["sha256"] for name, file in manifest["files"].items() if Path(name).name not in CHANGING}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_results_are_those_of_the_earlier_code(home: Path, project: Path, earlier: Path, words: list[str]) -> None:
    before = _run(earlier, home / "one" / "store", words)
    now = _run(project, home / "another" / "store", words)
    assert {kind: output["key"] for kind, output in now.items()} == {kind: each["key"] for kind, each in before.items()}
    for kind, output in before.items():
        wanted, found = _digests(output), _digests(now[kind])
        if kind == "evaluate":  # figures are not drawn alike twice
            names = [name for name in wanted if name.endswith((".json", ".parquet"))]
            wanted, found = ({name: each[name] for name in names} for each in (wanted, found))
        assert found == wanted, kind
    again = _run(project, home / "one" / "store", words)
    assert {output["state"] for output in again.values()} == {"Cached"}
