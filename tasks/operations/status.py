"""What there is at this moment: what runs, what is stored, the last runs of MLflow and the champions."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from mlflow import MlflowClient

from nli_core.config import OUTPUT_KINDS, OutputKind
from nli_core.store.claim import PARTIAL_SUFFIX
from tasks.models.names import CHAMPION
from tasks.runtime.liveness import live_runs
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.runs import all_runs

_LAST_RUNS = 5


@dataclass(frozen=True)
class TrackedRun:
    """A run of MLflow; `test_accuracy` is None until it is evaluated."""

    run_id: str
    name: str
    status: str
    started: str
    test_accuracy: float | None


@dataclass(frozen=True)
class Champion:
    """A champion of the registry."""

    model: str
    version: str
    run_id: str
    test_accuracy: float | None


@dataclass(frozen=True)
class Stored:
    """How many outputs of a kind there are, and how large they are together."""

    outputs: int
    mebibytes: float


@dataclass(frozen=True)
class Overview:
    """Flow runs that are alive and the stages that they work on; the outputs of each kind; runs; champions."""

    flow_runs: list[str]
    working: list[str]
    stored: dict[OutputKind, Stored]
    runs: list[TrackedRun]
    champions: list[Champion]


def overview(settings: Settings) -> Overview:
    """Look everywhere once.

    Raises:
        UserError: MLflow does not answer.
    """
    store, working = settings.store, []
    stored: dict[OutputKind, Stored] = {}
    for kind in OUTPUT_KINDS:
        outputs = store.outputs(kind)
        sizes = sum(record.size for output in outputs for record in output.manifest.files.values())
        stored[kind] = Stored(len(outputs), round(sizes / 2**20, 1))
        for folder in store.leftovers():
            key = folder.name.removesuffix(PARTIAL_SUFFIX)
            if folder.parent.name == kind and store.in_use(kind, key):
                working.append(f"{kind} {key[:12]}")
    with mlflow_client(settings) as client:
        runs = [
            TrackedRun(
                run.info.run_id,
                str(run.info.run_name),
                run.info.status,
                f"{datetime.fromtimestamp(run.info.start_time / 1000, UTC):%Y-%m-%d %H:%M}",
                run.data.metrics.get("test/accuracy"),
            )
            for run in islice(all_runs(client), _LAST_RUNS)
        ]
        champions = _champions(client)
    return Overview(live_runs(settings), working, stored, runs, champions)


def _champions(client: MlflowClient) -> list[Champion]:
    found = []
    for model in client.search_registered_models(max_results=1000):
        if CHAMPION in model.aliases:
            version = client.get_model_version_by_alias(model.name, CHAMPION)
            run_id = str(version.run_id)
            accuracy = client.get_run(run_id).data.metrics.get("test/accuracy")
            found.append(Champion(model.name, str(version.version), run_id, accuracy))
    return found
