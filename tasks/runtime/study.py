"""The Optuna study of a sweep: what is tried next, and how each trial ended. It outlives the process.

Of trials with the same values, the latest counts: one that failed, or whose process was killed, is tried again under
another number. Optuna hears of dev alone, never of test.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from nli_core.errors import UserError, reason_of
from nli_core.evaluation.sweep import PrunedTrial, Values
from nli_core.hashing import canonical_digest
from nli_core.run.space import Interval
from nli_core.run.sweep import PruningRule, Sweep
from nli_core.urls import without_password
from tasks.settings import STUDIES, Settings

End = Literal["complete", "pruned", "failed"]

_RUNS = "runs"  # the attribute that has a trial's finished runs by their seed
_COPY = "copy"  # the attribute of a trial that was not run, since another had its values
_AGAIN = "again"  # the attribute of a trial whose values were chosen before
_STARTUP = 5  # trials that the median rule waits for
_LEAST_FOR_IMPORTANCE = 4
_SECONDS = 20  # that SQLite waits for another process


@dataclass(frozen=True)
class FinishedRun:
    """A run of a trial: its values, its seed, its MLflow run, and its accuracy on dev."""

    values: Values
    seed: int
    run_id: str
    dev: float


class Study:
    """The trials of a sweep, by their numbers. For one thread at a time."""

    def __init__(self, settings: Settings, sweep: Sweep, rule: PruningRule | None = None) -> None:
        """`rule` stops trials early."""
        self._sweep, self._rule = sweep, rule
        self._tried = sweep.space if sweep.search else sweep.grid
        self._distributions = {name: _distribution(tried) for name, tried in self._tried.items()}
        self._study = _open(settings, f"{sweep.recipe} {sweep.key}", rule)
        self._under_way: dict[int, optuna.Trial] = {}
        self._reported: dict[int, int] = {}
        self._queue: list[dict[str, Any]] = []
        self._left = 0

    def resume(self, budget: int, is_gone: Callable[[str], bool]) -> int:
        """Queue what was not finished; return how many trials are to be run.

        `budget` is the number of trials of a search, finished ones included. `is_gone` says that MLflow lost a run.
        """
        while self._trials(TrialState.WAITING):
            self._study.ask()
        for trial in self._trials(TrialState.RUNNING):
            self._study.tell(trial.number, state=TrialState.FAIL)
        latest = self._latest()
        counting = {text for text, trial in latest.items() if self._counts(trial, is_gone)}
        if self._sweep.search:
            self._queue = [trial.params for text, trial in latest.items() if text not in counting]
            copies = sum(_COPY in trial.user_attrs for trial in self._trials())
            self._left = max(len(self._queue), budget - len(counting) - copies)
        else:
            left = [values for values in self._sweep.products() if _text(values) not in counting]
            self._queue = [{name: _text(value) for name, value in values.items()} for values in left]
            self._left = len(self._queue)
        return self._left

    def ask(self) -> tuple[int, Values] | None:
        """Return the number and values of the next trial; None if there is none.

        What a search draws follows from the config's seed, how much was drawn before, and what is known by then. Values
        that were tried before are not run again: they count with what is known of them.
        """
        while self._left > 0:
            self._left -= 1
            queued = self._queue.pop(0) if self._queue else None
            if queued is not None:
                self._study.enqueue_trial(queued, user_attrs={_AGAIN: True})
            latest = self._latest()
            drawn = sum(_AGAIN not in trial.user_attrs for trial in self._trials())
            seed = int(canonical_digest([self._sweep.config.finetune.seed, drawn])[:8], 16)
            self._study.sampler = optuna.samplers.TPESampler(seed=seed)
            trial = self._study.ask(self._distributions)
            values = self._values(trial.params)
            twin = latest.get(_text(values))
            if queued is None and twin and twin.state.is_finished():
                self._copy(twin, trial)
                continue
            self._under_way[trial.number], self._reported[trial.number] = trial, 0
            return trial.number, values
        return None

    def report(self, number: int, accuracies: Sequence[float]) -> bool:
        """Take dev's accuracy after each epoch so far; return whether the rule stops the trial."""
        trial = self._under_way[number]
        new = range(self._reported[number] + 1, len(accuracies) + 1)
        for epoch in new:
            trial.report(accuracies[epoch - 1], epoch)
        self._reported[number] = max(self._reported[number], len(accuracies))
        return bool(new) and trial.should_prune()

    def add_run(self, number: int, run: FinishedRun) -> None:
        """Note a finished run of a trial."""
        trial = self._under_way[number]
        noted = trial.user_attrs.get(_RUNS, {}) | {str(run.seed): {"run_id": run.run_id, "dev": run.dev}}
        trial.set_user_attr(_RUNS, noted)

    def end(self, number: int, end: End) -> None:
        """Note how a trial ended; its value is the mean of its runs' accuracies on dev."""
        trial = self._under_way.pop(number)
        if end == "complete":
            self._study.tell(trial, fmean(run["dev"] for run in trial.user_attrs[_RUNS].values()))
        else:
            self._study.tell(trial, state=TrialState.PRUNED if end == "pruned" else TrialState.FAIL)

    def runs(self) -> list[FinishedRun]:
        """List the finished runs, in the order of their trials; those of failed trials too."""
        return [
            FinishedRun(self._values(trial.params), int(seed), run["run_id"], run["dev"])
            for trial in self._latest().values()
            for seed, run in trial.user_attrs.get(_RUNS, {}).items()
        ]

    def pruned(self) -> list[PrunedTrial]:
        """List the trials that were stopped early."""
        return [
            PrunedTrial(self._values(trial.params), epoch, trial.intermediate_values[epoch])
            for trial in self._latest().values()
            if trial.state is TrialState.PRUNED and (epoch := trial.last_step) is not None
        ]

    def importance(self) -> Mapping[str, float]:
        """Estimate the part of dev's variance that each searched field explains (fANOVA, Hutter et al. 2014)."""
        finished = self._trials(TrialState.COMPLETE)
        if len(self._sweep.search) < 2 or len({trial.value for trial in finished}) < _LEAST_FOR_IMPORTANCE:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(self._study, evaluator=evaluator)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _latest(self) -> dict[str, FrozenTrial]:
        """Find the latest trial with each choice of values, in the order in which they were first tried."""
        whole = [trial for trial in self._trials() if trial.params.keys() == self._distributions.keys()]
        return {_text(self._values(trial.params)): trial for trial in whole}

    def _counts(self, trial: FrozenTrial, is_gone: Callable[[str], bool]) -> bool:
        if trial.state is TrialState.PRUNED:
            return self._rule is not None  # without a rule, it resumes at its checkpoint
        runs = trial.user_attrs.get(_RUNS, {}).values()
        return trial.state is TrialState.COMPLETE and not any(is_gone(run["run_id"]) for run in runs)

    def _copy(self, twin: FrozenTrial, trial: optuna.Trial) -> None:
        trial.set_user_attr(_COPY, True)
        trial.set_user_attr(_RUNS, twin.user_attrs.get(_RUNS, {}))
        for epoch, accuracy in twin.intermediate_values.items():
            trial.report(accuracy, epoch)
        complete = twin.state is TrialState.COMPLETE
        self._study.tell(trial, twin.values if complete else None, None if complete else twin.state)

    def _values(self, params: Mapping[str, Any]) -> Values:
        return {name: _value(tried, params[name]) for name, tried in self._tried.items()}


@contextmanager
def study_faults(settings: Settings) -> Iterator[None]:
    """Turn what the database of the studies raises within the block into one line.

    Raises:
        UserError: it did not answer, or refused.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        cause = error.__cause__ or error
        where = without_password(settings.studies)
        raise UserError(f"{STUDIES}: {where} failed ({reason_of(cause)}); fix it, then rerun to resume") from None


def _open(settings: Settings, name: str, rule: PruningRule | None) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners: dict[PruningRule | None, optuna.pruners.BasePruner] = {
        None: optuna.pruners.NopPruner(),
        "median": optuna.pruners.MedianPruner(n_startup_trials=_STARTUP),
        "hyperband": optuna.pruners.HyperbandPruner(),
    }
    is_file = settings.studies.startswith("sqlite")
    storage = optuna.storages.RDBStorage(
        settings.studies, engine_kwargs={"connect_args": {"timeout": _SECONDS}} if is_file else None
    )
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True, pruner=pruners[rule]
    )


def _distribution(tried: Interval | Sequence[Any]) -> BaseDistribution:
    if not isinstance(tried, Interval):
        return CategoricalDistribution([_text(value) for value in tried])
    if tried.whole:
        return IntDistribution(int(tried.low), int(tried.high))
    return FloatDistribution(tried.low, tried.high, log=tried.log)


def _value(tried: Interval | Sequence[Any], param: Any) -> Any:
    if isinstance(tried, Interval):
        return tried.rounded(param)
    return next(value for value in tried if _text(value) == param)


def _text(value: object) -> str:
    """Write a value as the study names it: it takes numbers and texts alone, and a grid may have lists."""
    return json.dumps(value, sort_keys=True, default=str)
