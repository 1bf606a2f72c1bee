import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_doctor_looks_at_everything_and_says_what_to_do(
    nli_here: Nli, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = {each["what"]: each for each in json.loads(nli_here("doctor", "--json").stdout)["findings"]}
    assert {"packages", "precision", "GPU", "store", "MLflow", "Prefect"} <= findings.keys()
    names = "; ".join(findings)
    assert all(name in names for name in ("SNLI", "AG News, train", "d2l:bert.base", "hf:google-bert/bert-base"))
    assert "AG News, train; AG News, test" in names  # one publisher
    assert all(each["remedy"] for each in findings.values() if each["verdict"] != "ok")
    assert findings["store"]["verdict"] == findings["Prefect"]["verdict"] == "ok"

    monkeypatch.setenv("NLI_STORE", "/proc/store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    sick = nli_here("doctor")
    assert sick.returncode == 2
    assert "MLflow at http://127.0.0.1:9 does not answer" in sick.stdout
    assert "make it writable, or set NLI_STORE" in sick.stdout
    assert "fix store, MLflow before running" in sick.stderr.splitlines()[-1]
