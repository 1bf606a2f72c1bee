"""A recipe with other values and seeds: as many runs at once as there are GPUs; on a CPU a run has all cores."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from typing import Any, cast

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run
from prefect.states import Cancelled

from flows.local.devices import Place, places
from flows.local.trial_worker import TrialProcess, trial
from flows.pipeline import ends, lifetime
from nli_core.config import RunConfig, parse_config
from nli_core.errors import UserError
from nli_core.evaluation.sweep import Trial
from tasks.recipes import with_field
from tasks.runtime.cancellation import StopRequest
from tasks.runtime.progress import LOGGER, artifact_key
from tasks.settings import Settings
from tasks.tracking.sweep_run import UNCHANGED, Sweep, adopt, publish_sweep, sweep_markdown, sweep_run

_SEED = "finetune.seed"


@flow(name="sweep", flow_run_name="sweep {recipe}", **ends)
def sweep(
    config: RunConfig,
    grid: dict[str, list[Any]],
    seeds: int = 1,
    recipe: str = "custom",
    at_once: int | None = None,
) -> dict[str, Any]:
    """Run a recipe for all products of some values, each with some seeds; stages that several runs need are done once.

    A sweep that ended early goes on where it was when the same is run again. A run that fails does not stop the others.

    Args:
        config: The recipe's configuration.
        grid: Values to try by field, such as {"finetune.learning_rate": [1e-5, 3e-5]}.
        seeds: How many seeds each of their products gets, from the config's on.
        recipe: The recipe's name.
        at_once: How many runs go on at the same time; by default one a GPU, or one where there is none.

    Raises:
        UserError: a field or value is not valid, and nothing is run then; or a run failed.
    """
    asked, settings = Sweep(recipe, config, grid, seeds), Settings.from_environment()
    plan, where = list(_plan(asked)), places(at_once)
    try:
        with lifetime(), sweep_run(settings, asked) as parent:
            trials, failures = _run_all(plan, settings, parent, recipe, where)
            if trials:
                found = publish_sweep(settings, parent, trials)
                key = artifact_key(recipe, "sweep")
                create_markdown_artifact(sweep_markdown(found), key=key, description=f"{recipe}: {len(trials)} runs")
            if failures:
                raise UserError(f"sweep: {len(failures)} of {len(plan)} runs failed; {failures[0]}")
    except CancelledRun as stopped:
        return cast(dict[str, Any], Cancelled(message=str(stopped)))
    return {"mlflow_run_id": parent, "trials": trials, "choices": found}


def _run_all(
    plan: Sequence[tuple[str, RunConfig]], settings: Settings, parent: str, recipe: str, where: Sequence[Place]
) -> tuple[list[Trial], list[str]]:
    """What the runs came to, in the plan's order, and what became of those that failed.

    Raises:
        CancelledRun: the sweep was told to stop, and its runs have stopped at a checkpoint; or one run was.
    """
    trials, failures, cancelled = [], [], False
    processes = [TrialProcess(place, has_terminal=len(where) == 1) for place in where]
    free: SimpleQueue[TrialProcess] = SimpleQueue()
    for process in processes:
        free.put(process)
    with StopRequest() as stop, ExitStack() as at_end:
        threads = at_end.enter_context(ThreadPoolExecutor(len(processes)))
        for process in processes:
            at_end.callback(process.close)
        run_one = partial(trial, recipe=recipe, free=free, parent=str(flow_run.id), should_stop=stop)
        futures = [
            threads.submit(run_one, values, config, title=f"{number}/{len(plan)}")
            for number, (values, config) in enumerate(plan, start=1)
        ]
        for number, future in enumerate(futures, start=1):
            try:
                trials.append(future.result())
            except CancelledRun:
                cancelled = True
                continue
            except UserError as error:
                failures.append(str(error))
                LOGGER.warning("sweep: %s", error)
            else:
                adopt(settings, parent, recipe, trials[-1])
            LOGGER.info("sweep: %d of %d runs are done, %d of them failed", number, len(plan), len(failures))
        if cancelled:
            raise CancelledRun("sweep: stopped; the same goes on from there")
    return trials, failures


def _plan(asked: Sweep) -> Iterator[tuple[str, RunConfig]]:
    """Each run's values as text, and its config; raises UserError for what is not valid."""
    if asked.seeds < 1 or not all(asked.grid.values()):
        raise UserError("sweep: each field of the grid needs a value, and there must be one seed at least")
    if _SEED in asked.grid and asked.seeds > 1:
        raise UserError(f"sweep: {_SEED} is in the grid, so that --seeds says the same twice; leave out one of the two")
    plain = asked.config.model_dump(mode="json", exclude_unset=True)
    for values in itertools.product(*asked.grid.values()):
        chosen = dict(zip(asked.grid, values, strict=True))
        first = int(chosen.get(_SEED, asked.config.finetune.seed))
        for seed in range(first, first + asked.seeds):
            changed = plain
            for field, value in {**chosen, _SEED: seed}.items():
                changed = with_field(changed, field, value)
            yield ", ".join(f"{field}={value}" for field, value in chosen.items()) or UNCHANGED, parse_config(changed)
