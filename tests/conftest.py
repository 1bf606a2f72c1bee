"""What tests of all three packages share: a small encoder, small corpora, and the place of the real data."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nli_core.config import RunConfig, parse_config
from nli_core.data import sample

PROJECT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """One thread a process: the models are tiny, and tests that run beside each other share the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that is marked `faults` and passes counts as one of what the mark names."""
    report = yield
    marker = item.get_closest_marker("faults")
    if marker and report.when == "call" and report.passed:
        report.user_properties.append((marker.args[0], 1))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many faults of which kind were survived."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        for name, count in report.user_properties:
            counts[name] += count
    if counts:
        terminalreporter.write_line(", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout, or where NLI_TEST_DATA points."""
    folder = Path(os.environ.get("NLI_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set NLI_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers x 32 in the Hugging Face layout, whose vocabulary covers the sample corpus."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-encoder")
    texts = (text for pair in sample.generate(3600, 0)["train"] for text in (pair.premise, pair.hypothesis))
    words = sorted({word for text in texts for word in text.lower().replace(".", " .").split()})
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(word for word in words if len(word) > 1),
        ".",
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def flip_byte() -> Callable[[Path], None]:
    """Changes one byte in the middle of a file."""

    def flip(path: Path) -> None:
        body = bytearray(path.read_bytes())
        body[len(body) // 2] ^= 0x55
        path.write_bytes(body)

    return flip


@pytest.fixture
def overflowing_encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """The tiny encoder with weights so large that what it computes is no number."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_encoder, tmp_path / "overflowing-encoder")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.0.output.LayerNorm.weight"].fill_(3e38)
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def tiny_config(tiny_encoder: Path) -> Callable[..., RunConfig]:
    """Builds the config of a run of seconds: 360 sample pairs and the tiny encoder; sections can be overridden."""

    def build(**sections: dict[str, Any]) -> RunConfig:
        values: dict[str, dict[str, Any]] = {
            "corpus": {"name": "sample", "pairs": 360},
            "encoder": {"name": str(tiny_encoder)},
            "pack": {"max_length": 64, "rows_per_shard": 100},
            "finetune": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "log_every": 4, "precision": "fp32"},
            "evaluate": {"precision": "fp32"},
        }
        for section, fields in sections.items():
            replaces = section == "corpus" and "name" in fields
            values[section] = fields if replaces else {**values[section], **fields}
        return parse_config(values)

    return build


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows of plain values as a CSV, TSV, JSONL or Parquet file."""
    import polars as pl

    def write(name: str, rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        frame = pl.DataFrame(rows)
        match path.suffix:
            case ".csv":
                frame.write_csv(path)
            case ".tsv":
                frame.write_csv(path, separator="\t")
            case ".parquet":
                frame.write_parquet(path)
            case _:
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A real Prefect server with a database of its own, for the whole session; gives the address of its API."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    # In the environment, since the server and the `nli` processes of the tests are to see them too.
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in quiet.items():
            patched.setenv(name, value)
        with prefect_test_harness(server_startup_timeout=120):
            yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def empty_tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, which take seconds to create."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def workplace(tmp_path: Path, empty_tracking_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stage store and a tracking database of its own, named in the environment."""
    shutil.copyfile(empty_tracking_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("NLI_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return tmp_path


@pytest.fixture
def nli(prefect_server: str, workplace: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the `nli` command in a process of its own."""

    def run(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).with_name("nli")), *arguments]
        environment = {**os.environ, "PREFECT_API_URL": prefect_server, "COLUMNS": "200"}
        return subprocess.run(
            command, cwd=cwd or workplace, env=environment, capture_output=True, text=True, check=False
        )

    return run
