"""Where things are kept: read from the environment when asked for, never at import."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from nli_core.store.store import Store
from nli_core.urls import is_remote, without_password

RECIPE_BOOK = "prefect.yaml"


@dataclass(frozen=True)
class Settings:
    """The stage store and the MLflow tracking server of this process."""

    store: Store
    tracking_uri: str
    parallel_trainings: bool = False

    @classmethod
    def from_environment(cls) -> "Settings":
        """`NLI_STORE` (default `.nli/store` below the project) and `MLFLOW_TRACKING_URI` (default SQLite beside it).

        `NLI_PARALLEL_TRAININGS=1`: trainings on one device do not wait for each other.
        """
        root = Path(os.environ.get("NLI_STORE") or project_root() / ".nli" / "store").expanduser().resolve()
        tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.parent / 'mlflow.db'}"
        return cls(Store(root), tracking_uri, os.environ.get("NLI_PARALLEL_TRAININGS") == "1")

    @property
    def training_lock(self) -> str:
        """The name of the lock that a training holds: the devices that it may use."""
        return f"training-{socket.gethostname()}-{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}".replace("/", "_")

    @property
    def downloads(self) -> Path:
        """Where fetched archives are kept for the next time."""
        return self.store.root / "downloads"

    @property
    def shown_tracking_uri(self) -> str:
        """The tracking address without user name and password."""
        return without_password(self.tracking_uri)

    @property
    def artifacts(self) -> str | None:
        """Where MLflow keeps files, if runs go straight to a database; a server decides for itself.

        `NLI_ARTIFACTS`, a folder or an address such as s3://bucket/nli; by default beside the store.
        """
        if is_remote(self.tracking_uri):
            return None
        named = os.environ.get("NLI_ARTIFACTS") or str(self.store.root.parent / "mlartifacts")
        return named if "://" in named else Path(named).expanduser().resolve().as_uri()


def project_root() -> Path:
    """The folder with the recipe book: the checkout that this package runs from, or else the working directory."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / RECIPE_BOOK).exists() else Path.cwd()
