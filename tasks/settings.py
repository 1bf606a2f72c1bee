"""All settings from the environment: read when asked for, never at import. `docs/environment.md` lists them."""

import math
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from nli_core.errors import UserError
from nli_core.paths import user_path
from nli_core.store.store import Store
from nli_core.urls import is_remote, without_password

RECIPE_BOOK = "prefect.yaml"
STORE = "NLI_STORE"
ARTIFACTS = "NLI_ARTIFACTS"
WEBHOOK = "NLI_WEBHOOK"
REMOTE = "NLI_REMOTE"
REMOTE_MINUTES = "NLI_REMOTE_MINUTES"
PARALLEL_TRAININGS = "NLI_PARALLEL_TRAININGS"
DEBUG = "NLI_DEBUG"  # set by `nli --debug`
VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
TRACKING = "MLFLOW_TRACKING_URI"
STUDIES = "NLI_STUDIES"
RAY = "NLI_RAY"
_REGISTRY = "MLFLOW_REGISTRY_URI"  # MLflow reads it itself
_KINDS_OF_MLFLOW = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
_KINDS_OF_STUDIES = ("sqlite", "postgresql", "mysql")


@dataclass(frozen=True)
class Settings:
    """The stage store and the MLflow tracking server of this process."""

    store: Store
    tracking_uri: str
    parallel_trainings: bool = False
    remote: str | None = None
    remote_minutes: float = 10.0
    ray: str | None = None

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read `NLI_STORE` (default `.nli/store` in the project) and `MLFLOW_TRACKING_URI` (default SQLite beside it).

        `NLI_PARALLEL_TRAININGS=1`: trainings on one device do not wait for each other. `NLI_REMOTE` is the bucket
        behind the store, `NLI_REMOTE_MINUTES` the least time between two checkpoints that are mirrored there. `NLI_RAY`
        is the Ray cluster for sweeps, trainings and predictions.

        Raises:
            UserError: MLflow knows no address of such a kind, the path of the store leads nowhere, or the minutes are
                not a number.
        """
        root = _resolved(os.environ.get(STORE) or project_root() / ".nli" / "store")
        if root.exists() and not root.is_dir():
            raise UserError(f"{STORE}: {root} is no folder; name another path")
        for variable in (TRACKING, _REGISTRY):
            _check_kind(variable, os.environ.get(variable, ""))
        tracking_uri = os.environ.get(TRACKING) or _database_beside(root, "mlflow.db", TRACKING)
        parallel = os.environ.get(PARALLEL_TRAININGS) == "1"
        return cls(
            Store(root),
            tracking_uri,
            parallel,
            os.environ.get(REMOTE) or None,
            _remote_minutes(),
            os.environ.get(RAY) or None,
        )

    @property
    def training_lock(self) -> str:
        """The name of the lock that a training holds: this host, and the devices that it may use."""
        return f"training-{socket.gethostname()}-{visible_devices() or 'all'}".replace("/", "_")

    @property
    def downloads(self) -> Path:
        """The folder of fetched archives."""
        return self.store.root / "downloads"

    @property
    def shown_tracking_uri(self) -> str:
        """The tracking address without user name and password."""
        return without_password(self.tracking_uri)

    @property
    def studies(self) -> str:
        """The database of the sweeps' studies: `NLI_STUDIES`, or a file of SQLite beside the store.

        Raises:
            UserError: it is no database that can hold them, or MLflow's own.
        """
        named = os.environ.get(STUDIES)
        if not named:
            return _database_beside(self.store.root, "studies.db", STUDIES)
        if named.partition("://")[0].partition("+")[0] not in _KINDS_OF_STUDIES:
            kinds = ", ".join(_KINDS_OF_STUDIES)
            raise UserError(f"{STUDIES}: {without_password(named)} is no database address; name one of {kinds}")
        if named == self.tracking_uri:
            raise UserError(f"{STUDIES}: is MLflow's own database; make another one beside it, and name that")
        return named

    @property
    def artifacts(self) -> str | None:
        """Where MLflow keeps files for runs that go straight to a database; None for a server, which decides itself.

        `NLI_ARTIFACTS` is a folder or an address such as s3://bucket/nli; the default is beside the store.
        """
        if is_remote(self.tracking_uri):
            return None
        named = os.environ.get(ARTIFACTS) or str(self.store.root.parent / "mlartifacts")
        return named if "://" in named else user_path(named).resolve().as_uri()


def _resolved(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:  # an unknown user, or a link that leads to itself
        raise UserError(f"{STORE}: {path} leads nowhere ({error}); choose another path") from None


def _remote_minutes() -> float:
    text = os.environ.get(REMOTE_MINUTES) or "10"
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1
    if not 0 <= minutes < math.inf:
        raise UserError(f"{REMOTE_MINUTES}: {text} should be a number of minutes, such as 10")
    return minutes


def _check_kind(variable: str, address: str) -> None:
    kind, slashes, _ = address.partition("://")
    if slashes and kind.lower().partition("+")[0] not in _KINDS_OF_MLFLOW:
        raise UserError(
            f"{variable}: MLflow knows no address {kind}://...; name a server (http, https) or a database "
            f"({', '.join(_KINDS_OF_MLFLOW[2:])})"
        )


def _database_beside(root: Path, name: str, variable: str) -> str:
    if refused := set("?#%") & set(str(root.parent)):
        raise UserError(
            f"{STORE}: the database {name} beside {root} cannot be addressed with {' and '.join(sorted(refused))} in "
            f"it; choose another path, or set {variable}"
        )
    return f"sqlite:///{root.parent / name}"


def webhook() -> str | None:
    """Return whom to notify of a flow run that did not end well: an address, or a Prefect notification block."""
    return os.environ.get(WEBHOOK)


def debugging() -> bool:
    """Return whether tracebacks and the libraries' logs are to be shown."""
    return DEBUG in os.environ


def visible_devices() -> str | None:
    """Return the GPUs that this process may use, if they are restricted."""
    return os.environ.get(VISIBLE_DEVICES)


def project_root() -> Path:
    """Return the folder with the recipe book: this package's checkout, or else the working directory."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / RECIPE_BOOK).exists() else Path.cwd()
