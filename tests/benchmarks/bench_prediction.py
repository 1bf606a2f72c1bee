"""Predicting raw pairs of texts, against `transformers.pipeline` in bf16 and onnxruntime in fp32 and int8.

All have the same random weights and begin with strings in memory; the result is a label and its probability for each.
Every measurement of a way, with one thread and with two, is a process of its own; loading, exporting and one batch to
warm up come before the clock.
"""

import gc
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_training import SHAPES, prepare
from bounds import arithmetic_bound, floating_point_operations, machine_note
from reporting import DATA, measure, ratio, spread, table, write_page
from snli_text import snli_text

REPEATS = 5
CORES = (1, 2)
ROWS = {"bert.small": 10_240, "MiniLM": 512}
PEER_BATCH = 64
LABELS = ("entailment", "contradiction", "neutral")
Ways = dict[str, Callable[[Path, list[str], list[str]], float]]


def ours(model: Path, premises: list[str], hypotheses: list[str]) -> float:
    """Our predictor with the tokenizer for many texts."""
    from nli_core.data.tokenize.fast import FastTokenizer
    from nli_core.inference.predictor import Predictor

    predictor = Predictor(model, FastTokenizer)
    return seconds_after_a_batch(predictor.probabilities, premises, hypotheses)


def pipeline(model: Path, premises: list[str], hypotheses: list[str]) -> float:
    """`transformers.pipeline` over all pairs at once, in batches; bf16 where the CPU has it."""
    import transformers

    bf16 = torch.cpu.get_capabilities().get("avx512_bf16", False)
    classify = transformers.pipeline(
        "text-classification",
        str(model),
        tokenizer=transformers.BertTokenizerFast(vocab=str(model / "vocab.txt")),
        dtype=torch.bfloat16 if bf16 else torch.float32,
        device="cpu",
    )

    def run(first: Sequence[str], second: Sequence[str]) -> None:
        pairs = [{"text": one, "text_pair": other} for one, other in zip(first, second, strict=True)]
        classify(pairs, batch_size=PEER_BATCH)

    return seconds_after_a_batch(run, premises, hypotheses)


def onnx(model: Path, premises: list[str], hypotheses: list[str], *, quantized: bool = False) -> float:
    """onnxruntime on batches of similar length, longest first; tokens from the fast tokenizer."""
    import onnxruntime
    from tokenizers import BertWordPieceTokenizer

    path = exported(model, quantized=quantized)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tokenizer = BertWordPieceTokenizer(str(model / "vocab.txt"))
    tokenizer.enable_truncation(128)

    def run(first: Sequence[str], second: Sequence[str]) -> None:
        encodings = tokenizer.encode_batch(list(zip(first, second, strict=True)))
        lengths = np.array([len(encoding.ids) for encoding in encodings])
        order = np.argsort(-lengths, kind="stable")
        for start in range(0, len(order), PEER_BATCH):
            places = order[start : start + PEER_BATCH]
            shape = len(places), lengths[places[0]]
            ids, mask, types = (np.zeros(shape, np.int64) for _ in range(3))
            for row, place in enumerate(places):
                length, encoding = lengths[place], encodings[place]
                ids[row, :length], mask[row, :length], types[row, :length] = encoding.ids, 1, encoding.type_ids
            session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": types})

    return seconds_after_a_batch(run, premises, hypotheses)


def seconds_after_a_batch(
    run: Callable[[Sequence[str], Sequence[str]], object], premises: list[str], hypotheses: list[str]
) -> float:
    """What `run` takes for all pairs, after one batch to warm up; what loading left is not collected on the clock."""
    run(premises[:PEER_BATCH], hypotheses[:PEER_BATCH])
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    run(premises, hypotheses)
    return time.perf_counter() - started


def exported(model: Path, *, quantized: bool) -> Path:
    """The ONNX file of a model, made when first asked for; int8 by onnxruntime's dynamic quantization."""
    path = model / ("int8.onnx" if quantized else "fp32.onnx")
    if path.exists():
        return path
    if quantized:
        from onnxruntime.quantization import quantize_dynamic

        quantize_dynamic(exported(model, quantized=False), path)
        return path
    import transformers

    network = transformers.AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
    names = ("input_ids", "attention_mask", "token_type_ids")
    example = {name: torch.ones(2, 16, dtype=torch.int64) for name in names}
    axes = {name: {0: "batch", 1: "length"} for name in names}
    torch.onnx.export(
        network,
        (),
        str(path),
        kwargs=example,
        input_names=list(names),
        output_names=["logits"],
        dynamic_axes=axes,
        dynamo=False,
    )
    return path


def quantized(model: Path, premises: list[str], hypotheses: list[str]) -> float:
    return onnx(model, premises, hypotheses, quantized=True)


WAYS: Ways = {"ours": ours, "pipeline": pipeline, "onnx": onnx, "onnx-int8": quantized}
NAMES = {
    "ours": "this project",
    "pipeline": "`transformers.pipeline`, bf16",
    "onnx": "onnxruntime, fp32, sorted by length",
    "onnx-int8": "onnxruntime, int8, sorted by length",
}


def classifier(folder: Path, shape: str) -> Path:
    """A fine-tuned model of this shape, with random weights."""
    from nli_core.config import PackConfig
    from nli_core.model.classifier import Classifier
    from nli_core.model.saved import save_classifier
    from nli_core.model.weights import load_encoder

    encoder, out = prepare(folder, shape), folder / f"model-{shape}"
    model = Classifier(load_encoder(encoder)[0], LABELS)
    save_classifier(model, encoder, encoder, out, pack=PackConfig(), pairs=True)
    return out


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "text.json"
        frame = snli_text(DATA / "snli_1.0_subset.zip", max(ROWS.values()))
        text.write_text(json.dumps([frame["premise"].to_list(), frame["hypothesis"].to_list()]), encoding="utf-8")
        models = {shape: classifier(folder, shape) for shape in SHAPES}
        lengths = _mean_tokens(models["MiniLM"], frame["premise"].to_list(), frame["hypothesis"].to_list())
        for model in models.values():
            exported(model, quantized=True)
        told: dict[tuple[str, int, str], list[float]] = {}
        for _ in range(REPEATS):
            for shape, rows in ROWS.items():
                for way in WAYS:
                    measured = measure(__file__, way, models[shape], text, rows)
                    for cores in CORES:
                        told.setdefault((shape, cores, way), []).append(rows / measured[str(cores)])
                        print(shape, cores, way, f"{rows / measured[str(cores)]:,.0f} examples/s", file=sys.stderr)
    rows = []
    for shape, cores, way in itertools.product(SHAPES, CORES, WAYS):
        rates = told[shape, cores, way]
        rate = statistics.median(rates)
        operations = floating_point_operations(SHAPES[shape], lengths * rate, rate, training=False)
        faster = "" if way == "ours" else ratio(told[shape, cores, "ours"], rates)
        arithmetic = "" if way == "onnx-int8" else f"{arithmetic_bound(operations, cores):.0%}"
        rows.append((shape, cores, NAMES[way], spread(rates), arithmetic, faster))
    sizes = " and ".join(f"{rows:,} for {shape}" for shape, rows in ROWS.items())
    write_page(
        "prediction",
        "Predicting",
        f"From strings to probabilities, random weights, SNLI-like pairs ({sizes}); medians of {REPEATS} alternating "
        f"runs [least, largest]. The peers get batches of {PEER_BATCH}; ours chooses for itself.",
        " ".join(machine_note(cores) for cores in CORES)
        + " *Arithmetic* is the part of the time that our matrix products alone would take at that rate in bf16. The "
        "bytes bound nothing here: the weights of a batch and its activations stay in the caches.",
        table(("architecture", "threads", "way", "examples/s", "arithmetic", "ours is faster by"), rows),
    )


def _mean_tokens(model: Path, premises: list[str], hypotheses: list[str]) -> float:
    from nli_core.config import PackConfig
    from nli_core.data.examples.encode import Texts, encode_texts
    from nli_core.data.tokenize.tokenizer import Tokenizer

    encoded = encode_texts(Tokenizer(model), Texts.of(premises), Texts.of(hypotheses), PackConfig())
    return float(encoded.examples.lengths.mean())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        way, model, text, rows = sys.argv[1:]
        sides: list[list[Any]] = json.loads(Path(text).read_text(encoding="utf-8"))
        for cores in CORES:
            torch.set_num_threads(cores)
            os.environ["TOKENIZERS_PARALLELISM"] = str(cores > 1).lower()
            print(json.dumps({str(cores): WAYS[way](Path(model), *(side[: int(rows)] for side in sides))}))
    else:
        main()
