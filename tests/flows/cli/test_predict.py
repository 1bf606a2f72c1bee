import subprocess
import sys
from pathlib import Path

from nli_core.config import PackConfig
from nli_core.model.classifier import Classifier
from nli_core.model.saved import save_classifier
from nli_core.model.weights import load_encoder


def test_a_folder_predicts_without_prefect_and_mlflow(tiny_encoder: Path, tmp_path: Path) -> None:
    """Their imports take longer than most predictions."""
    model = Classifier(load_encoder(tiny_encoder)[0], ("no", "yes"))
    save_classifier(model, tiny_encoder, tiny_encoder, tmp_path / "model", pack=PackConfig(max_length=32), pairs=False)
    (tmp_path / "texts.csv").write_text("text\na girl is here\n", encoding="utf-8")
    code = (
        "import atexit, sys; from flows.cli.main import main;"
        "atexit.register(lambda: print({'prefect', 'mlflow', 'sklearn', 'matplotlib'} & sys.modules.keys()));"
        "main()"
    )
    command = [sys.executable, "-c", code, "predict", "--model", "model", "--input", "texts.csv"]
    command += ["--output", "labels.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 rows: labels.csv", "set()"]
    assert (tmp_path / "labels.csv").exists()
