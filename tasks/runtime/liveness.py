"""Detect flow runs whose process died, and mark them Crashed in Prefect and KILLED in MLflow.

<store>/runs/<flow run id>           locked (flock) by a live flow run; the kernel frees the lock of a dead one. Its
                                     lines are the keys of the outputs that the flow run reads
<store>/runs/<flow run id>.deferred  left by a flow run that ended while MLflow was unreachable
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Crashed

from nli_core.locks import FileLock
from nli_core.log import LOGGER
from tasks.settings import Settings

MarkDead = Callable[[Settings, str], object]
"""Marks what a dead flow run left RUNNING in MLflow; takes the settings and the flow run's id."""

_DEFERRED = ".deferred"
_DIED = "its process died, for instance by the kernel for lack of memory; rerun the command to resume"


@contextmanager
def register_launch(settings: Settings, mark_dead: MarkDead) -> Iterator[None]:
    """Tag the flow that the block starts, so that a process that dies before its flow registers is found."""
    launch = f"launch-{uuid4().hex[:12]}"
    with register_run(settings, launch, mark_dead), tags(launch):
        yield


@contextmanager
def register_run(settings: Settings, own: str, mark_dead: MarkDead) -> Iterator[None]:
    """Mark the flow runs that died, then count the flow run with this id or tag as alive for the block."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.name != own:
            _mark_if_dead(path, settings, mark_dead)
    with _locked(folder / own):
        try:
            yield
        finally:
            (folder / own).unlink(missing_ok=True)


def mark_ended(settings: Settings, own: str, mark_dead: MarkDead, reason: str) -> None:
    """Mark a flow run whose process has ended, here or elsewhere, unless it says itself how it ended."""
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=_filter(own)):
            if run.state and run.state.is_cancelling():  # it ended before it heard of that
                client.set_flow_run_state(run.id, Cancelled(message=reason), force=True)
                mark_dead(settings, own)
            elif run.state and not run.state.is_final():
                _mark_crashed(client, run, reason)
                mark_dead(settings, own)


def defer_status(settings: Settings, own: str) -> None:
    """Leave it to the next flow run to close this one's MLflow run, because MLflow is unreachable."""
    (_folder(settings) / f"{own}{_DEFERRED}").touch()


def register_use(settings: Settings, own: str, keys: Iterable[str]) -> None:
    """Note the keys of outputs that this flow run reads, so that nobody prunes them while it is alive."""
    path = _folder(settings) / own
    if path.exists():
        with path.open("a") as file:
            file.writelines(f"{key}\n" for key in keys)


def keys_in_use(settings: Settings) -> set[str]:
    """Return the keys of the outputs that live flow runs read."""
    files = [_folder(settings) / run for run in live_runs(settings)]
    return {key for path in files if path.exists() for key in path.read_text().splitlines()}


def live_runs(settings: Settings) -> list[str]:
    """List the ids of the live flow runs of all who share the store."""
    found = []
    for path in sorted(_folder(settings).glob("*")):
        with contextlib.suppress(ValueError, FileNotFoundError):
            UUID(path.name)  # neither a launch nor a deferred status
            with FileLock(path, create=False) as lock:
                if not lock.try_acquire():
                    found.append(path.name)
    return found


def _folder(settings: Settings) -> Path:
    return settings.store.root / "runs"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    while True:
        with FileLock(path) as lock:
            lock.acquire()
            if lock.is_deleted:  # by a process that took it for a dead run's file
                continue
            yield
            return


def _mark_if_dead(path: Path, settings: Settings, mark_dead: MarkDead) -> None:
    if path.name.endswith(_DEFERRED):
        own = path.name.removesuffix(_DEFERRED)
        if not path.with_name(own).exists():  # otherwise it may still mark its MLflow run itself
            mark_dead(settings, own)
            path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError), FileLock(path, create=False) as lock:
        if not lock.try_acquire():
            return
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=_filter(path.name)):
                _mark_crashed(client, run, _DIED)
                mark_dead(settings, str(run.id))
        path.unlink(missing_ok=True)


def _filter(name: str) -> FlowRunFilter:
    with contextlib.suppress(ValueError):
        return FlowRunFilter(id=FlowRunFilterId(any_=[UUID(name)]))
    return FlowRunFilter(tags=FlowRunFilterTags(all_=[name]))


def _mark_crashed(client: SyncPrefectClient, run: FlowRun, reason: str) -> None:
    if run.state and run.state.is_final():
        return
    LOGGER.info("flow run %s: %s", run.name, reason)
    below, offset = FlowRunFilter(id=FlowRunFilterId(any_=[run.id])), 0
    while page := client.read_task_runs(flow_run_filter=below, offset=offset):
        for task_run in page:
            if task_run.state and not task_run.state.is_final():
                client.set_task_run_state(task_run.id, Crashed(message=reason), force=True)
        offset += len(page)
    client.set_flow_run_state(run.id, Crashed(message=reason), force=True)
