"""Which flow runs are alive, so that the dead are told apart and marked: nobody else does that for a killed process.

<store>/runs/<flow run id>         locked (flock) by the flow run while it lives; the kernel frees a dead one's lock
<store>/runs/<flow run id>.unsaid  left by a flow run that could not tell MLflow how its training ended
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed

from tasks.runtime.progress import LOGGER
from tasks.settings import Settings

_UNSAID = ".unsaid"
_DIED = "its process died; run the same again, and it goes on from where it was"


@contextmanager
def launching(settings: Settings) -> Iterator[None]:
    """Begin a flow within the block: if the process dies before the flow counts as alive, it is known by its tag."""
    launch = f"launch-{uuid4().hex[:12]}"
    with present(settings, launch), tags(launch):
        yield


@contextmanager
def present(settings: Settings, own: str) -> Iterator[None]:
    """Mark the flow runs that died, and let the one of this id or tag count as alive within the block."""
    folder = settings.store.root / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.name != own:
            _mark_if_dead(path, settings)
    handle = _locked(folder / own)
    try:
        yield
    finally:
        (folder / own).unlink(missing_ok=True)
        os.close(handle)


def leave_unsaid(settings: Settings, own: str) -> None:
    """Have the next run mark what this flow run left RUNNING in MLflow, which does not answer now."""
    (settings.store.root / "runs" / f"{own}{_UNSAID}").touch()


def _locked(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:  # nobody took it for a dead one's in between, and deleted it
            return handle
        os.close(handle)


def _mark_if_dead(path: Path, settings: Settings) -> None:
    if path.name.endswith(_UNSAID):
        own = path.name.removesuffix(_UNSAID)
        if not path.with_name(own).exists():  # otherwise it may say it yet
            from tasks.tracking import runs as tracking

            tracking.mark_killed(settings, own)
            path.unlink(missing_ok=True)
        return
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=_filter(path.name)):
                _mark_crashed(client, run)
                from tasks.tracking import runs as tracking

                tracking.mark_killed(settings, str(run.id))
        path.unlink(missing_ok=True)
    except BlockingIOError:  # alive
        return
    finally:
        os.close(handle)


def _filter(name: str) -> FlowRunFilter:
    with contextlib.suppress(ValueError):
        return FlowRunFilter(id=FlowRunFilterId(any_=[UUID(name)]))
    return FlowRunFilter(tags=FlowRunFilterTags(all_=[name]))


def _mark_crashed(client: SyncPrefectClient, run: FlowRun) -> None:
    if run.state and run.state.is_final():
        return
    LOGGER.info("flow run %s: %s", run.name, _DIED)
    for task_run in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))):
        if task_run.state and not task_run.state.is_final():
            client.set_task_run_state(task_run.id, Crashed(message=_DIED), force=True)
    client.set_flow_run_state(run.id, Crashed(message=_DIED), force=True)


def alive(settings: Settings) -> list[str]:
    """The ids of the flow runs that live at this moment, of all who share the store."""
    folder = settings.store.root / "runs"
    found = []
    for path in sorted(folder.glob("*")):
        with contextlib.suppress(ValueError, FileNotFoundError):
            UUID(path.name)  # neither a launch nor what was left unsaid
            handle = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(path.name)
            finally:
                os.close(handle)
    return found
