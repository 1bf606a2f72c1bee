"""What training gives the model: batches of tokens or, under a frozen encoder, what it makes of them, computed once.

A frozen encoder has no dropout and gets no gradient, so that what it pools for an example is the same in every epoch.
"""

from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nli_core import atomic
from nli_core.arrays import IntArray
from nli_core.callbacks import Progress
from nli_core.data.examples.shards import ShardSet
from nli_core.data.loading.loader import make_loader
from nli_core.inference.logits import Report, pool_examples, predict_logits
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device
from nli_core.model.encoder import LayeredEncoder
from nli_core.training.parts import divide
from nli_core.training.ranks import Ranks

_FEATURES = "features.safetensors"


class Inputs(Protocol):
    """What the model reads, and its logits: for examples of train, and for all of dev."""

    def rounds(self, examples: IntArray) -> list[list[IntArray]]:
        """Divide examples of train into rounds of parts: each worker computes one part of every round."""

    def load(self, examples: IntArray) -> tuple[tuple[Tensor, ...], int]:
        """Load what the model reads of examples of train, and count its token slots, padding included."""

    def logits(self, model: Classifier, *loaded: Tensor) -> Tensor:
        """Compute logits [examples or more, labels] from what was loaded; the first rows are those of the examples."""

    def dev_logits(self, report: Report) -> Tensor:
        """Compute this rank's logits [dev, labels] in fp32 on the CPU, 0 where other ranks have theirs.

        Leaves the model in eval mode.
        """


class Tokens:
    """Runs the whole model on batches of tokens."""

    def __init__(self, model: Classifier, train: ShardSet, dev: ShardSet, device: Device, ranks: Ranks) -> None:
        self._model, self._dev, self._device, self._ranks = model, dev, device, ranks
        self._lengths = train.examples.lengths
        self._loader = make_loader(train.examples, device.torch, packed=device.packs)
        self._gradient_bytes = 4 * sum(each.numel() for each in model.parameters() if each.requires_grad)
        # Threads share torch's random numbers, from which code of others draws. They empty each other's cache of the
        # weights that autocast has cast, so a weight that is used twice would get gradients by chance; ours is not.
        self._divides = device.torch.type == "cpu" and not device.packs and isinstance(model.encoder, LayeredEncoder)

    def rounds(self, examples: IntArray) -> list[list[IntArray]]:
        if not self._divides:
            return [[examples]]
        tokens = int(self._lengths[examples].sum())
        return divide(examples, tokens, threads=torch.get_num_threads(), gradient_bytes=self._gradient_bytes)

    def load(self, examples: IntArray) -> tuple[tuple[Tensor, ...], int]:
        batch = self._loader.batch(examples)
        return (batch.input_ids, batch.token_type_ids, batch.lengths), batch.input_ids.numel()

    def logits(self, model: Classifier, *loaded: Tensor) -> Tensor:
        with self._device.autocast():
            logits: Tensor = model(*loaded, self._loader.longest)
        return logits

    def dev_logits(self, report: Report) -> Tensor:
        ready = prepare_for_inference(self._model, self._device)
        return predict_logits(ready, self._dev.examples, self._device, report, (self._ranks.rank, self._ranks.size))


class Features:
    """Runs the head alone, on what the frozen encoder pooled of every row: [train, P] and [dev, P]."""

    def __init__(
        self,
        model: Classifier,
        train: ShardSet,
        dev: ShardSet,
        device: Device,
        ranks: Ranks,
        *,
        folder: Path,
        progress: Progress,
    ) -> None:
        """Compute the features, or read them from `folder`, where an earlier try left them."""
        self._model, self._lengths, self._device, self._ranks = model, train.examples.lengths, device, ranks
        self._average = dev.examples.average
        path = folder / _FEATURES  # of rank 0
        if not ranks.agree(path.exists()):
            ready = prepare_for_inference(model, device)
            computed: dict[str, Tensor] = {}
            for shards in (train, dev):
                pool = partial(
                    pool_examples,
                    ready,
                    shards.examples,
                    device,
                    lambda done, total: progress(done, total, "the frozen encoder reads every example once"),
                    (ranks.rank, ranks.size),
                )
                computed[shards.split] = ranks.sum(ranks.together(pool))

            def write() -> None:
                with atomic.replacing(path) as partial_file:
                    save_file(computed, partial_file)

            ranks.first(write)
        read = ranks.together(lambda: load_file(path) if ranks.rank == 0 else {})
        features = ranks.agree_on_tensors(read)
        self._train, self._dev = (features[split].to(device.torch) for split in ("train", "dev"))

    def rounds(self, examples: IntArray) -> list[list[IntArray]]:
        return [[examples]]

    def load(self, examples: IntArray) -> tuple[tuple[Tensor, ...], int]:
        return (self._train[torch.from_numpy(examples)],), int(self._lengths[examples].sum())

    def logits(self, model: Classifier, *loaded: Tensor) -> Tensor:
        return model.classify(*loaded)

    def dev_logits(self, report: Report) -> Tensor:
        self._model.eval()
        with torch.inference_mode():
            logits = self._average(self._model.classify(self._dev).cpu())
        return logits if self._ranks.rank == 0 else torch.zeros_like(logits)


def discard_features(folder: Path) -> None:
    """Delete what `Features` keeps for the next try."""
    (folder / _FEATURES).unlink(missing_ok=True)
