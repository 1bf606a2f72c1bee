"""The runs of a sweep's trials: one per seed. A trial ends in its study with the last of its runs."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from nli_core.errors import UserError
from nli_core.evaluation.sweep import Values, values_text
from nli_core.log import LOGGER
from nli_core.run.config import RunConfig
from nli_core.run.sweep import Sweep
from tasks.runtime.study import End, FinishedRun, Study
from tasks.tracking.run_names import fields_title


@dataclass
class _Trial:
    """A trial under way. Without an `end`, it was stopped, and a rerun of the sweep resumes it."""

    number: int
    values: Values
    runs_left: int
    end: End | None = "complete"


@dataclass(frozen=True)
class PendingRun:
    """A run that is to be done, or under way: its trial, its config, and its place among all runs, from 1."""

    trial: _Trial
    config: RunConfig
    decides: bool  # whether its accuracies may stop the trial
    place: int

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.config.finetune.seed

    @property
    def name(self) -> str:
        """What distinguishes the run from the others."""
        return fields_title({**self.trial.values, "finetune.seed": self.seed})


class TrialQueue:
    """The runs of all trials, one after the other, and what became of them. For several threads."""

    def __init__(self, sweep: Sweep, study: Study, trials: int) -> None:
        """`trials` is how many the study has."""
        self.total, self.failures, self.any_stopped = trials * sweep.seeds, list[str](), False
        self._sweep, self._study = sweep, study
        self._lock = threading.Lock()
        self._waiting: deque[PendingRun] = deque()
        self._begun = self._ended = self._pruned = 0

    def next_run(self) -> PendingRun | None:
        """Return the next run; None if there is none."""
        with self._lock:
            while not self._waiting and (asked := self._study.ask()):
                self._begin(*asked)
            return self._waiting.popleft() if self._waiting else None

    def report(self, run: PendingRun, accuracies: Sequence[float]) -> bool:
        """Take dev's accuracy after each epoch so far; return whether the rule stops the trial."""
        trial = run.trial
        with self._lock:
            if run.decides and trial.end == "complete" and self._study.report(trial.number, accuracies):
                trial.end = "pruned"
                LOGGER.info("sweep: %s is pruned after epoch %d", values_text(trial.values), len(accuracies))
            return trial.end == "pruned"

    def finish(self, run: PendingRun, run_id: str, dev: float, accuracies: Sequence[float]) -> None:
        """Note a run that completed, and its accuracies on dev: the model's, and after each epoch."""
        with self._lock:
            self._study.add_run(run.trial.number, FinishedRun(run.trial.values, run.seed, run_id, dev))
            if run.decides:
                self._study.report(run.trial.number, accuracies)
            self._end(run)

    def stop(self, run: PendingRun) -> None:
        """Note a run that was cancelled: by the rule, or by somebody else."""
        with self._lock:
            if run.trial.end != "pruned":
                self.any_stopped, run.trial.end = True, None
            self._end(run)

    def fail(self, run: PendingRun, message: str) -> None:
        """Note a run that failed."""
        with self._lock:
            if run.trial.end != "pruned":
                self._note_failure(run.trial, f"{run.name}: {message}")
            self._end(run)

    def _begin(self, number: int, values: Values) -> None:
        trial = _Trial(number, values, self._sweep.seeds)
        try:
            configs = self._sweep.runs(values)
        except UserError as error:  # values that exclude each other
            self._note_failure(trial, f"{values_text(values)}: {error}")
            self._study.end(number, "failed")
            self._ended += self._sweep.seeds
            return
        for index, config in enumerate(configs):
            self._begun += 1
            self._waiting.append(PendingRun(trial, config, index == 0, self._begun))

    def _note_failure(self, trial: _Trial, message: str) -> None:
        trial.end = "failed"
        self.failures.append(message)
        LOGGER.warning("sweep: %s", message)

    def _end(self, run: PendingRun) -> None:
        trial = run.trial
        trial.runs_left -= 1
        self._ended += 1
        if trial.end == "pruned":
            skipped = [waiting for waiting in self._waiting if waiting.trial is trial]
            for waiting in skipped:
                self._waiting.remove(waiting)
            trial.runs_left -= len(skipped)
            self._ended += len(skipped)
        if not trial.runs_left and trial.end:
            self._study.end(trial.number, trial.end)
            self._pruned += trial.end == "pruned"
        pruned = f"; trials pruned: {self._pruned}" if self._pruned else ""
        LOGGER.info(
            "sweep: %d of %d runs are done, %d of them failed%s", self._ended, self.total, len(self.failures), pruned
        )
