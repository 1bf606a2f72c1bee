import json
import subprocess
import sys
from pathlib import Path

from nli_core.config import PackConfig
from nli_core.model.classifier import Classifier
from nli_core.model.saved import save_classifier
from nli_core.model.weights import load_encoder

COMMANDS = [
    ["predict", "--model", "model", "--input", "texts.csv", "--output", "labels.csv"],
    ["predict", "--model", "model", "--premise", "a girl is here", "--json"],
    ["export", "model", "--output", "exported"],
    ["store", "ls"],
]
RUN = """
import json, sys
from flows.cli.main import main

for words in json.loads(sys.argv[1]):
    sys.argv = ["nli", *words]
    try:
        main()
    except SystemExit as end:
        print("status", end.code or 0)
print({"prefect", "mlflow", "sklearn", "matplotlib"} & sys.modules.keys())
"""


def test_what_needs_no_server_imports_neither_prefect_nor_mlflow(tiny_encoder: Path, workplace: Path) -> None:
    """Their imports take longer than most predictions."""
    model = Classifier(load_encoder(tiny_encoder)[0], ("no", "yes"))
    save_classifier(model, tiny_encoder, tiny_encoder, workplace / "model", pack=PackConfig(max_length=32), pairs=False)
    (workplace / "texts.csv").write_text("text\na girl is here\n", encoding="utf-8")
    command = [sys.executable, "-c", RUN, json.dumps(COMMANDS)]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert told[-1] == "set()"
    assert told.count("status 0") == len(COMMANDS)
    assert (workplace / "labels.csv").exists()
