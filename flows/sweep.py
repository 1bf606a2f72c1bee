"""Run a recipe with several values and seeds: one concurrent trial per GPU, or one on a CPU."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run

from flows.lifecycle import cancelled, ends, lifetime
from flows.local.devices import DeviceSlot, allocate_devices
from flows.local.trial_worker import TrialProcess, run_trial
from nli_core.errors import UserError
from nli_core.evaluation.sweep import Trial, sweep_markdown
from nli_core.log import LOGGER
from nli_core.run.config import RunConfig
from nli_core.run.sweep import Sweep
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import artifact_key
from tasks.settings import Settings
from tasks.tracking.sweep_run import adopt, publish_sweep, sweep_run


@flow(name="sweep", flow_run_name="sweep {recipe}", **ends)
def sweep(
    config: RunConfig,
    grid: dict[str, list[Any]],
    seeds: int = 1,
    recipe: str = "custom",
    jobs: int | None = None,
) -> dict[str, Any]:
    """Run a recipe for all products of some values, each with some seeds; trials share cached stages.

    Rerun an interrupted sweep to resume it. A failed trial does not stop the others.

    Args:
        config: The recipe's configuration.
        grid: Values to try by field, such as {"finetune.learning_rate": [1e-5, 3e-5]}.
        seeds: How many seeds each of their products gets, counted from the config's.
        recipe: The recipe's name.
        jobs: Number of concurrent trials; by default one per GPU, else one.

    Raises:
        UserError: a field or value is invalid, and nothing ran; or a trial failed.
    """
    asked, settings = Sweep(recipe, config, grid, seeds), Settings.from_environment()
    plan, slots = list(asked.trials()), allocate_devices(jobs)
    try:
        with lifetime(), sweep_run(settings, asked) as parent:
            trials, failures = _run_all(plan, settings, parent, recipe, slots)
            if trials:
                found = publish_sweep(settings, parent, trials)
                key = artifact_key(recipe, "sweep")
                create_markdown_artifact(sweep_markdown(found), key=key, description=f"{recipe}: {len(trials)} runs")
            if failures:
                raise UserError(f"sweep: {len(failures)} of {len(plan)} runs failed; {failures[0]}")
    except CancelledRun as stopped:
        return cancelled(dict[str, Any], stopped)
    return {"mlflow_run_id": parent, "trials": trials, "choices": found}


def _run_all(
    plan: Sequence[tuple[str, RunConfig]], settings: Settings, parent: str, recipe: str, slots: Sequence[DeviceSlot]
) -> tuple[list[Trial], list[str]]:
    """Run every trial; return the completed ones in the plan's order, and the messages of those that failed.

    Raises:
        CancelledRun: the sweep was told to stop and its trials have stopped at a checkpoint, or one trial was.
    """
    trials, failures, any_cancelled = [], [], False
    processes = [TrialProcess(slot, has_terminal=len(slots) == 1) for slot in slots]
    free: SimpleQueue[TrialProcess] = SimpleQueue()
    for process in processes:
        free.put(process)
    with CancellationToken() as stop, ExitStack() as at_end:
        threads = at_end.enter_context(ThreadPoolExecutor(len(processes)))
        for process in processes:
            at_end.callback(process.close)
        run_one = partial(run_trial, recipe=recipe, free=free, parent=str(flow_run.id), should_stop=stop)
        futures = [
            threads.submit(run_one, values, config, title=f"{number}/{len(plan)}")
            for number, (values, config) in enumerate(plan, start=1)
        ]
        for number, future in enumerate(futures, start=1):
            try:
                trials.append(future.result())
            except CancelledRun:
                any_cancelled = True
                continue
            except UserError as error:
                failures.append(str(error))
                LOGGER.warning("sweep: %s", error)
            else:
                adopt(settings, parent, recipe, trials[-1])
            LOGGER.info("sweep: %d of %d runs are done, %d of them failed", number, len(plan), len(failures))
        if any_cancelled:
            raise CancelledRun("sweep: stopped; rerun the command to resume")
    return trials, failures
