"""Two runs of one recipe bring an output to MLflow one after the other."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect.runtime import flow_run

from nli_core.run.config import parse_config
from nli_core.run.plan import StageRequest
from nli_core.store.claim import Claim
from nli_core.store.manifest import Output
from tasks.recipes import find_recipe
from tasks.settings import Settings
from tasks.stages import base
from tasks.tracking.tags import RunLink


class _SeesWaiting(logging.Handler):
    """Sets its event when somebody says that it waits for the MLflow run."""

    def __init__(self, seen: threading.Event) -> None:
        super().__init__()
        self._seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        if "writes to the same MLflow run" in record.getMessage():
            self._seen.set()


def test_one_publishes_while_another_waits(workplace: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "register_use", lambda *_: None)  # no flow runs here
    monkeypatch.setattr(flow_run, "id", "none", raising=False)
    request = StageRequest(parse_config(find_recipe(project / "prefect.yaml", "sample").config), "sample", {})
    other_came, inside, most_inside = threading.Event(), 0, 0

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        (claim.partial / "file").write_text("text")
        return {}

    def publish(settings: Settings, output: Output) -> RunLink:
        nonlocal inside, most_inside
        inside += 1
        most_inside = max(most_inside, inside)
        if inside > 1:
            other_came.set()
        assert other_came.wait(60)
        inside -= 1
        return RunLink("run", None)

    handler = _SeesWaiting(other_came)
    monkeypatch.setattr(base.LOGGER, "handlers", [*base.LOGGER.handlers, handler])
    monkeypatch.setattr(base.LOGGER, "level", logging.INFO)
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(base.run_stage, "corpus", request, work, publish) for _ in range(2)]
        assert sorted(str(run.result(60).name) for run in runs) == ["Cached", "Completed"]
    assert most_inside == 1
