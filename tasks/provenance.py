"""Where the code of a run comes from."""

import getpass
import subprocess
import sys
from pathlib import Path

from tasks.settings import project_root


def code_tags() -> dict[str, str]:
    """MLflow tags: who ran what, and the checkout's commit and whether it had changes, where there is a checkout."""
    tags = {"mlflow.user": getpass.getuser(), "mlflow.source.name": Path(sys.argv[0]).name}
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return tags
    return {
        **tags,
        "mlflow.source.git.commit": commit,
        "nli.git.dirty": str(bool(_git("status", "--porcelain"))).lower(),
    }


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=project_root(), capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
