"""Dead and live flow runs of a real Prefect server."""

from collections.abc import Callable
from uuid import UUID

import pytest
from prefect import State, flow, task
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Completed, Running

from nli_core.locks import FileLock
from tasks.runtime.liveness import defer_status, live_runs, mark_ended, register_launch, register_run
from tasks.settings import Settings


@task
def work() -> None:
    """Stands for a stage."""


@flow
def interrupted() -> None:
    """A flow whose process dies."""


@pytest.fixture
def settings(prefect_server: str, workplace: object) -> Settings:
    found = Settings.from_environment()
    (found.store.root / "runs").mkdir(parents=True)
    return found


@pytest.fixture
def begin(settings: Settings) -> Callable[..., str]:
    """Leaves a flow run that is running, tagged as asked, and gives its id."""

    def run(*tags: str) -> str:
        with get_client(sync_client=True) as client:
            return str(client.create_flow_run(interrupted, state=Running(), tags=tags).id)

    return run


def _state(run: str) -> str:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(run)).state
    assert state is not None
    return state.name


def test_a_dead_run_is_crashed_and_handed_on(settings: Settings, begin: Callable[..., str]) -> None:
    dead, marked = begin(), []
    (settings.store.root / "runs" / dead).touch()
    with register_run(settings, "me", lambda _, run: marked.append(run)):
        assert (_state(dead), marked) == ("Crashed", [dead])
    assert list((settings.store.root / "runs").iterdir()) == []


def test_a_live_run_is_left_alone_and_listed(settings: Settings, begin: Callable[..., str]) -> None:
    alive, marked = begin(), []
    with FileLock(settings.store.root / "runs" / alive) as lock:
        lock.acquire()
        with register_run(settings, "me", lambda _, run: marked.append(run)):
            assert live_runs(settings) == [alive]
        assert (_state(alive), marked) == ("Running", [])
    assert live_runs(settings) == []


def test_a_run_that_died_before_its_flow_is_found_by_tag(settings: Settings, begin: Callable[..., str]) -> None:
    with register_launch(settings, lambda *_: None):
        (launch,) = [path.name for path in (settings.store.root / "runs").iterdir()]
    dead, marked = begin(launch), []
    (settings.store.root / "runs" / launch).touch()
    with register_run(settings, "me", lambda _, run: marked.append(run)):
        assert (_state(dead), marked) == ("Crashed", [dead])


@pytest.mark.parametrize(("own", "end"), [(None, "Crashed"), (Cancelling(), "Cancelled"), (Completed(), "Completed")])
def test_a_run_whose_process_ended_says_how(
    own: State | None, end: str, settings: Settings, begin: Callable[..., str]
) -> None:
    run, marked = begin(), []
    if own:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run), own, force=True)
    mark_ended(settings, run, lambda _, each: marked.append(each), "its process ended with status 0")
    assert _state(run) == end
    assert marked == ([] if end == "Completed" else [run])


def test_a_deferred_status_is_handed_on_once(settings: Settings) -> None:
    marked: list[str] = []
    defer_status(settings, "gone")
    for _ in range(2):
        with register_run(settings, "me", lambda _, run: marked.append(run)):
            pass
    assert marked == ["gone"]
