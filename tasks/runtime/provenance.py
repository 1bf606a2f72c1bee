"""What made a result besides its configuration and its data: code, versions, hardware."""

import getpass
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tasks.settings import project_root

_PACKAGES = ("torch", "tokenizers", "numpy", "pyarrow", "polars", "safetensors", "scikit-learn", "prefect", "mlflow")


def code_tags() -> dict[str, str]:
    """Return MLflow tags: the user, the program, and the checkout's commit and whether it has changes."""
    tags = {"mlflow.user": getpass.getuser(), "mlflow.source.name": Path(sys.argv[0]).name}
    commit, dirty = _checkout()
    return tags if commit is None else {**tags, "mlflow.source.git.commit": commit, "nli.git.dirty": str(dirty).lower()}


def made_with() -> dict[str, Any]:
    """Return commit, versions and hardware of this process."""
    commit, dirty = _checkout()
    return {
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": _gpus(),
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, then and now of everything that is not the same."""
    names = [*then, *(name for name in now if name not in then)]
    return [
        (name, str(then.get(name)), str(now.get(name))) for name in names if str(then.get(name)) != str(now.get(name))
    ]


def _checkout() -> tuple[str | None, bool | None]:
    commit = _git("rev-parse", "HEAD")
    return commit, None if commit is None else bool(_git("status", "--porcelain"))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _gpus() -> list[str]:
    """List the GPUs of a process that has loaded torch; the others compute nothing on one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=project_root(), capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
