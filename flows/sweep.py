"""Run a recipe with several values and seeds: one concurrent trial per GPU, or one on a CPU."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run

from flows.hooks import reason_of_end
from flows.lifecycle import cancelled, ends, lifetime
from flows.local.devices import allocate_devices
from flows.local.trial_process import local_process
from flows.trial_runner import Start, TrialRunner
from flows.trials import PendingRun, TrialQueue
from nli_core.callbacks import StoppedError
from nli_core.errors import UserError
from nli_core.evaluation.sweep import SweepResult, sweep_markdown
from nli_core.run.config import RunConfig
from nli_core.run.sweep import PruningRule, Sweep
from tasks.models.trust_report import publish_group_report
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import artifact_key
from tasks.runtime.study import Study, study_faults
from tasks.settings import Settings
from tasks.tracking.sweep_run import SweepTrainings, publish_sweep, sweep_run

DEFAULT_TRIALS = 20
_LOOK_SECONDS = 2.0  # between two looks at dev's accuracy in MLflow


@dataclass(frozen=True)
class SweepSummary:
    """What a sweep found, and its MLflow run."""

    mlflow_run_id: str
    result: SweepResult


@flow(name="sweep", flow_run_name="sweep {recipe}", **ends)
def sweep(
    config: RunConfig,
    grid: dict[str, list[Any]] | None = None,
    seeds: int = 1,
    recipe: str = "custom",
    jobs: int | None = None,
    search: dict[str, str] | None = None,
    trials: int | None = None,
    prune: PruningRule | None = None,
) -> SweepSummary:
    """Run a recipe for all products of some values, or for values that a search draws; each with some seeds.

    Rerun an interrupted sweep to resume it. A failed trial does not stop the others. Trials share cached stages.

    Args:
        config: The recipe's configuration.
        grid: Values to try by field, such as {"finetune.learning_rate": [1e-5, 3e-5]}: all products.
        seeds: How many seeds each trial gets, counted from the config's; dev's mean over them is the trial's.
        recipe: The recipe's name.
        jobs: Number of concurrent runs; by default one per GPU, else one.
        search: What Optuna may draw by field: "log(1e-5,5e-4)", "uniform(0,0.3)", "int(8,64)", or values: "16,32".
        trials: How many trials a search has, those of earlier runs of the same search included; by default 20.
        prune: The rule by which bad trials are stopped early: median, or hyperband. They keep their checkpoints.

    Raises:
        UserError: a field or value is invalid, and nothing ran; or a trial failed.
    """
    asked, settings = Sweep(recipe, config, grid or {}, search or {}, seeds), Settings.from_environment()
    asked.check(trials, prune)
    waiting = "sweep: waiting for another process that runs the same sweep"
    try:
        with (
            lifetime(),
            _starts(settings, jobs) as starts,
            CancellationToken() as stop,
            settings.store.lock(f"sweep-{asked.key}", waiting, stop),
            sweep_run(settings, asked) as parent,
            study_faults(settings),
        ):
            study, trainings = Study(settings, asked, prune), SweepTrainings(settings, parent)
            queue = TrialQueue(asked, study, study.resume(trials or DEFAULT_TRIALS, trainings.is_gone))
            _Driver(
                queue, trainings, TrialRunner(UUID(str(flow_run.id)), recipe, settings), stop, len(starts), prune
            ).run_all(starts)
            result = publish_sweep(settings, parent, asked, study)
            if result.runs:
                _leave_artifact(recipe, result)
                if seeds > 1:
                    publish_group_report(settings, parent)
            if queue.any_stopped or stop():
                raise CancelledRun("sweep: stopped; rerun the command to resume")
            if queue.failures:
                raise UserError(f"sweep: {len(queue.failures)} of {queue.total} runs failed; {queue.failures[0]}")
            if not result.runs:
                raise UserError("sweep: no trial has finished; give more --trials, or leave out --prune")
    except (CancelledRun, StoppedError) as stopped:
        return cancelled(SweepSummary, str(stopped))
    return SweepSummary(parent, result)


def _starts(settings: Settings, jobs: int | None) -> AbstractContextManager[list[Start]]:
    """Return how each of the concurrent runs starts its processes: on the nodes of a cluster, or here."""
    if settings.ray:
        from flows.cluster.ray_nodes import ray_nodes

        return ray_nodes(settings, jobs)
    return nullcontext([partial(local_process, slot) for slot in allocate_devices(jobs)])


def _leave_artifact(recipe: str, result: SweepResult) -> None:
    key, description = artifact_key(recipe, "sweep"), f"{recipe}: {len(result.runs)} runs"
    create_markdown_artifact(sweep_markdown(result), key=key, description=description)


@dataclass
class _Driver:
    """Runs what is in the queue, on each device one run after the other."""

    queue: TrialQueue
    trainings: SweepTrainings
    runner: TrialRunner
    stop: CancellationToken
    concurrent: int
    prune: PruningRule | None
    is_broken: bool = False

    def run_all(self, starts: Sequence[Start]) -> None:
        """Run everything, and return when all has ended. A second Ctrl-C kills the processes."""
        with ThreadPoolExecutor(len(starts)) as threads:
            working = [threads.submit(copy_context().run, self._work, start) for start in starts]
            try:
                for each in as_completed(working):
                    each.result()
            except Exception:
                self.is_broken = True  # the others stop at a checkpoint
                raise
            except BaseException:
                self.runner.give_up()
                raise

    def _work(self, start: Start) -> None:
        while not self._is_over() and (run := self.queue.next_run()):
            title = f"{run.place}/{self.queue.total}" if self.concurrent > 1 else None
            self._note(run, self.runner.run(run.name, run.config, start, self._is_to_stop(run), title))

    def _is_over(self) -> bool:
        return self.stop() or self.is_broken

    def _is_to_stop(self, run: PendingRun) -> Callable[[UUID], bool]:
        last_look = time.monotonic()

        def is_to_stop(flow_run_id: UUID) -> bool:
            nonlocal last_look
            if self._is_over():
                return True
            if self.prune is None or time.monotonic() - last_look < _LOOK_SECONDS:
                return False
            last_look = time.monotonic()
            try:
                accuracies = self.trainings.look(str(flow_run_id))
            except UserError:  # MLflow is away; a later look may find it
                return False
            return self.queue.report(run, accuracies)

        return is_to_stop

    def _note(self, run: PendingRun, ended: FlowRun) -> None:
        state = ended.state
        assert state
        if state.is_cancelled() or self.runner.is_given_up:
            self.queue.stop(run)
        elif not state.is_completed():
            self.queue.fail(run, reason_of_end(state))
        else:
            run_id = self.runner.read_mlflow_run(ended)
            if run_id is None:
                self.queue.fail(run, "it left no summary in Prefect; rerun the command")
                return
            try:
                dev, accuracies = self.trainings.read(run_id)
            except UserError as error:
                self.queue.fail(run, str(error))
            else:
                self.queue.finish(run, run_id, dev, accuracies)
