"""Predicting a table on the nodes of a Ray cluster: tasks of about ten seconds each, for which a model is loaded once.

The caller reads the table and writes the predictions. Ray repeats the task of a node that died on another node.
"""

import functools
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from nli_core.arrays import Floats
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.errors import UserError, reason_of
from nli_core.inference.predictor import Predictor, Window
from nli_core.inference.tables import TablePredictor
from nli_core.model.device import choose_device
from nli_core.model.saved import read_answers, read_inputs
from tasks.cluster.connection import RayCluster, connected
from tasks.cluster.node import fault_of_node
from tasks.settings import RAY, Settings

_TASK_SECONDS = 10.0
_MOST_WINDOWS = 256  # of a task
_TRIES = 3


@contextmanager
def table_predictor(settings: Settings, folder: Path) -> Iterator[TablePredictor]:
    """Yield the predictor of a model's folder: on the nodes of the cluster that `NLI_RAY` names, or in this process.

    Raises:
        UserError: the cluster does not answer, or a node is unfit.
    """
    if settings.ray is None:
        yield Predictor(folder, FastTokenizer)
        return
    with connected(settings, {}, lines=False) as cluster:
        cluster.look(fault_of_node)
        yield _RayPredictor(cluster, folder)


class _RayPredictor:
    """Predicts with all GPUs of the cluster, or with all nodes where there are none."""

    def __init__(self, cluster: RayCluster, folder: Path) -> None:
        self.answers = read_answers(folder)
        self.inputs = read_inputs(folder)
        self._ray = cluster.ray
        self._places = cluster.gpus or len(cluster.nodes)
        resources = {"num_gpus": 1} if cluster.gpus else {"num_cpus": cluster.cores(self._places)}
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        # In a list, so that a node fetches the files once and not with every task.
        self._model = [self._ray.put(files)]
        options = {"max_retries": _TRIES, "scheduling_strategy": "SPREAD", **resources}
        self._predict = self._ray.remote(_predict).options(**options)
        precisions = self._ray.remote(_precision).options(**options)
        found = {self._answer(future) for future in [precisions.remote() for _ in range(self._places)]}
        if len(found) > 1:
            raise UserError(
                f"{RAY}: its nodes differ in precision ({' and '.join(sorted(found))}); use nodes of a kind"
            )
        (self.precision,) = found

    def windows(self, windows: Iterable[Window]) -> Iterator[Floats]:
        source, per_task = iter(windows), 1
        waiting: deque[Any] = deque()
        while True:
            while len(waiting) < 2 * self._places and (group := list(islice(source, per_task))):
                waiting.append(self._predict.remote(self._model, group))
            if not waiting:
                return
            seconds, predicted = self._answer(waiting.popleft())
            per_task = min(_MOST_WINDOWS, max(1, round(_TASK_SECONDS * len(predicted) / seconds)))
            yield from predicted

    def _answer(self, future: Any) -> Any:
        """Wait for a task's result.

        Raises:
            UserError: it failed; or its node died each time.
        """
        try:
            return self._ray.get(future)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            raise UserError(f"{RAY}: nodes died in a prediction ({reason_of(error)}); rerun to resume") from None


def _precision() -> str:
    """Return the precision that this node's device has."""
    return choose_device("auto").precision


def _predict(model: list[Any], windows: list[Window]) -> tuple[float, list[Floats]]:
    """Predict windows on a node; return the seconds that it took, and the probabilities of each."""
    predictor = _loaded(model[0])
    started = time.perf_counter()
    predicted = list(predictor.windows(windows))
    return time.perf_counter() - started, predicted


@functools.lru_cache(1)
def _loaded(files: Any) -> Predictor:
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in import_module("ray").get(files).items():
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return Predictor(Path(scratch), FastTokenizer)
