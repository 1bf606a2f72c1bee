"""A classifier on every device that this process may use: each computes its share of the batches, in a thread."""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor

from nli_core.callbacks import StoppedError
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.inference.logits import Report, no_report, predict_logits
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device


class Replicas:
    """Computes the same logits as one device of this kind, in the same order, whatever the number of devices."""

    def __init__(self, model: Classifier, devices: Sequence[Device]) -> None:
        """Prepare a copy of the model for each device; the first may share its tensors with `model`."""
        models = [model, *(copy.deepcopy(model) for _ in devices[1:])]
        self._prepared = [prepare_for_inference(each, device) for each, device in zip(models, devices, strict=True)]
        self.devices = devices
        self.labels = model.labels
        self.precision = devices[0].precision

    def logits(self, examples: RaggedExamples, report: Report = no_report) -> Tensor:
        """Compute logits [examples, labels], in fp32 on the CPU.

        The first replica reports. An error of one replica, or of `report`, ends all.
        """
        faults: list[BaseException] = []

        def compute(number: int) -> Tensor:
            def report_or_end(done: int, total: int) -> None:
                if faults:
                    raise StoppedError
                if number == 0:
                    report(done, total)

            share = (number, len(self._prepared))
            try:
                return predict_logits(self._prepared[number], examples, self.devices[number], report_or_end, share)
            except BaseException as error:
                faults.append(error)
                raise

        if len(self._prepared) == 1:
            return compute(0)
        with ThreadPoolExecutor(len(self._prepared)) as pool:
            parts = [pool.submit(compute, number) for number in range(len(self._prepared))]
        if faults:
            raise faults[0]
        total, *others = [part.result() for part in parts]
        for part in others:
            total += part
        return total
