"""What a classifier computes for many examples, in their order."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nli_core.arrays import IntArray
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.data.loading.batching import evaluation_batches, pad_to_power_of_two, padded_lengths
from nli_core.data.loading.loader import make_loader
from nli_core.inference.threads import mapped
from nli_core.malloc import keep_freed_memory
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device, memory_for
from nli_core.model.encoder import Encoder

_Forward = Callable[[Tensor, Tensor, Tensor, int | None], Tensor]
Share = tuple[int, int]  # its number, from 0, of how many
_ALL: Share = (0, 1)
Report = Callable[[int, int], object]  # examples done, of how many
no_report: Report = lambda _done, _total: None  # noqa: E731
_LEAST_BATCHES = 2  # for each thread, since at the end some threads have none
_LENGTH_STEP = 8  # of padded batches in calls of less than one: a server's CPU meets few shapes
# Tokens in a batch: on a CPU what a core's caches hold of a layer, on a GPU enough to fill it.
_BATCH_TOKENS = {"cpu": 1 << 11, "cuda": 1 << 16}


def predict_logits(
    model: Classifier, examples: RaggedExamples, device: Device, report: Report = no_report, share: Share = _ALL
) -> Tensor:
    """Compute logits [examples, labels], in fp32 on the CPU, with a model from `prepare_for_inference`.

    Those of an example in several windows are averaged. With a `share`, those of its batches alone, and 0 elsewhere.
    The sum over all shares is what one device computes.
    """
    return examples.average(_compute(model.encoder, model, len(model.labels), examples, device, report, share))


def pool_examples(
    model: Classifier, examples: RaggedExamples, device: Device, report: Report = no_report, share: Share = _ALL
) -> Tensor:
    """Compute what the encoder pools for each row [rows, pooled size], as `predict_logits` does the logits."""
    encoder = model.encoder
    return _compute(encoder, encoder.pooled, encoder.architecture.pooled_size, examples, device, report, share)


def _compute(
    encoder: Encoder,
    forward: _Forward,
    width: int,
    examples: RaggedExamples,
    device: Device,
    report: Report,
    share: Share,
) -> Tensor:
    number, shares = share
    tokens, most = _BATCH_TOKENS[device.torch.type], encoder.architecture.max_position_embeddings
    rounds_up = not device.packs and int(examples.lengths.sum()) < tokens
    padded = padded_lengths(examples.lengths, _LENGTH_STEP, most) if rounds_up else examples.lengths
    with memory_for(describe=partial(_described, examples.lengths)):
        computed, done = torch.zeros(len(examples), width), 0
        source = make_loader(examples, device.torch, packed=device.packs, padded=padded)

    def compute(indices: IntArray) -> int:
        described = partial(_described, examples.lengths[indices])
        with memory_for(describe=described), torch.inference_mode(), device.autocast():
            sent = indices if device.packs else pad_to_power_of_two(indices, tokens // int(padded[indices[0]]))
            batch = source.batch(sent)
            rows = forward(batch.input_ids, batch.token_type_ids, batch.lengths, source.longest)[: len(indices)]
            computed[torch.from_numpy(indices)] = rows.float().cpu()
        return len(indices)

    batches = evaluation_batches(padded, tokens)[number::shares]
    with keep_freed_memory(), mapped(compute, batches, _workers(device, len(batches))) as counts:
        for count in counts:
            done += count
            report(min(len(examples), done * shares), len(examples))
    return computed


def _workers(device: Device, batches: int) -> int:
    """Return how many batches are computed at a time: on a CPU with enough of them, one for each thread."""
    threads = torch.get_num_threads()
    return threads if device.torch.type == "cpu" and batches >= _LEAST_BATCHES * threads else 1


def _described(lengths: IntArray) -> str:
    return f"predicting {len(lengths)} examples of up to {int(lengths.max())} tokens; lower pack.max_length"
