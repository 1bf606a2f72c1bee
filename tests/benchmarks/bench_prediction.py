"""Predicting raw pairs of texts, against `transformers.pipeline`, onnxruntime and OpenVINO.

All have the same random weights and begin with strings in memory; the result is a label and its probability for each.
A process measures one way, with each shape; ours with one thread too. Loading and exporting come before the clock.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bench_training import SHAPES, prepare
from bounds import PRECISION, arithmetic_bound, floating_point_operations, machine_note
from reporting import DATA, ratio, spread, table, write_page
from snli_text import snli_text
from turns import answer, collect_garbage, take_turns

from nli_core.arrays import IntArray

REPEATS = 5
CORES = 2
ROWS = {"bert.small": 2_048, "MiniLM": 384}
PEER_BATCH = 64
OPENVINO_BATCH = 32  # the fastest of 16, 32, 64 and 128 for MiniLM; bert.small differs little
CALIBRATING = 32  # examples from which OpenVINO's tools learn the ranges of int8; weights are random, so few will do
TEXT = "text.json"
LABELS = ("entailment", "contradiction", "neutral")
Predict = Callable[[Sequence[str], Sequence[str]], object]  # premises and hypotheses


def ours(model: Path) -> Predict:
    """Our predictor with the tokenizer for many texts."""
    from nli_core.data.tokenize.fast import FastTokenizer
    from nli_core.inference.predictor import Predictor

    return Predictor(model, FastTokenizer).probabilities


def pipeline(model: Path) -> Predict:
    """`transformers.pipeline` over all pairs at once, in batches."""
    import transformers

    classify = transformers.pipeline(
        "text-classification",
        str(model),
        tokenizer=transformers.BertTokenizerFast(vocab=str(model / "vocab.txt")),
        dtype=torch.bfloat16 if PRECISION == "bf16" else torch.float32,
        device="cpu",
    )

    def run(first: Sequence[str], second: Sequence[str]) -> None:
        pairs = [{"text": one, "text_pair": other} for one, other in zip(first, second, strict=True)]
        classify(pairs, batch_size=PEER_BATCH)

    return run


def onnx(model: Path, *, quantized: bool = False) -> Predict:
    """onnxruntime on batches of similar length."""
    import onnxruntime

    path = exported(model, quantized=quantized)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(first: Sequence[str], second: Sequence[str]) -> None:
        for batch in sorted_batches(model, first, second, PEER_BATCH):
            session.run(None, batch)

    return run


def openvino(model: Path, *, quantized: bool = False) -> Predict:
    """OpenVINO on batches of similar length, a stream for each thread."""
    import openvino as ov

    threads, core = torch.get_num_threads(), ov.Core()
    path = openvino_int8(model) if quantized else exported(model, quantized=False)
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[PRECISION],
    }
    queue = ov.AsyncInferQueue(core.compile_model(core.read_model(path), "CPU", settings), threads)

    def run(first: Sequence[str], second: Sequence[str]) -> None:
        for batch in sorted_batches(model, first, second, OPENVINO_BATCH):
            queue.start_async(batch)
        queue.wait_all()

    return run


def sorted_batches(
    model: Path, premises: Sequence[str], hypotheses: Sequence[str], size: int
) -> Iterator[dict[str, IntArray]]:
    """Padded batches, longest first; tokens from the fast tokenizer."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(str(model / "vocab.txt"))
    tokenizer.enable_truncation(128)
    encodings = tokenizer.encode_batch(list(zip(premises, hypotheses, strict=True)))
    lengths = np.array([len(encoding.ids) for encoding in encodings])
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), size):
        places = order[start : start + size]
        shape = len(places), lengths[places[0]]
        ids, mask, types = (np.zeros(shape, np.int64) for _ in range(3))
        for row, place in enumerate(places):
            length, encoding = lengths[place], encodings[place]
            ids[row, :length], mask[row, :length], types[row, :length] = encoding.ids, 1, encoding.type_ids
        yield {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


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


def openvino_int8(model: Path) -> Path:
    """OpenVINO's file of a model in int8, made when first asked for by NNCF for transformers."""
    path = model / "int8.xml"
    if not path.exists():
        import nncf
        import openvino as ov

        text = snli_text(DATA / "snli_1.0_subset.zip", CALIBRATING)
        batches = sorted_batches(model, text["premise"].to_list(), text["hypothesis"].to_list(), 1)
        network = ov.Core().read_model(exported(model, quantized=False))
        kind = nncf.ModelType.TRANSFORMER
        ov.save_model(nncf.quantize(network, nncf.Dataset(list(batches)), model_type=kind), path)
    return path


WAYS: dict[str, Callable[[Path], Predict]] = {
    "ours": ours,
    "pipeline": pipeline,
    "onnx": onnx,
    "openvino": openvino,
    "onnx-int8": partial(onnx, quantized=True),
    "openvino-int8": partial(openvino, quantized=True),
}
NAMES = {
    "ours": "this project",
    "pipeline": f"`transformers.pipeline`, {PRECISION}",
    "onnx": "onnxruntime, fp32",
    "openvino": f"OpenVINO, {PRECISION}",
    "onnx-int8": "onnxruntime, int8",
    "openvino-int8": "OpenVINO, int8",
}


def ready(way: str, folder: Path) -> Callable[[], dict[str, float]]:
    """Load what a way predicts with; return what measures it with each shape and number of threads."""
    premises, hypotheses = json.loads((folder / TEXT).read_text(encoding="utf-8"))
    predicting: dict[tuple[str, int], Predict] = {}
    for shape in SHAPES:
        for cores in (1, CORES) if way == "ours" else (CORES,):
            _use(cores)
            predicting[shape, cores] = WAYS[way](folder / f"model-{shape}")

    def measure() -> dict[str, float]:
        told = {}
        for (shape, cores), predict in predicting.items():
            _use(cores)
            sides = premises[: ROWS[shape]], hypotheses[: ROWS[shape]]
            collect_garbage()
            started = time.perf_counter()
            predict(*sides)
            told[f"{shape} {cores}"] = time.perf_counter() - started
        return told

    return measure


def _use(cores: int) -> None:
    torch.set_num_threads(cores)
    os.environ["TOKENIZERS_PARALLELISM"] = str(cores > 1).lower()


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
        frame = snli_text(DATA / "snli_1.0_subset.zip", max(ROWS.values()))
        (folder / TEXT).write_text(
            json.dumps([frame["premise"].to_list(), frame["hypothesis"].to_list()]), encoding="utf-8"
        )
        models = {shape: classifier(folder, shape) for shape in SHAPES}
        lengths = _mean_tokens(models["MiniLM"], frame["premise"].to_list(), frame["hypothesis"].to_list())
        for model in models.values():
            exported(model, quantized=True)
            openvino_int8(model)
        told: dict[tuple[str, int, str], list[float]] = {}
        for way, measured in take_turns(__file__, list(WAYS), folder, repeats=REPEATS):
            for name, seconds in measured.items():
                shape, cores = name.split()
                rate = ROWS[shape] / seconds
                told.setdefault((shape, int(cores), way), []).append(rate)
                print(name, way, f"{rate:,.0f} examples/s", file=sys.stderr)
    rows = []
    for shape, cores, way in sorted(told, key=lambda key: list(SHAPES).index(key[0])):
        rates = told[shape, cores, way]
        rate = statistics.median(rates)
        operations = floating_point_operations(SHAPES[shape], lengths * rate, rate, training=False)
        faster = "" if way == "ours" else ratio(told[shape, cores, "ours"], rates)
        arithmetic = "" if way.endswith("int8") else f"{arithmetic_bound(operations, cores):.0%}"
        rows.append((shape, cores, NAMES[way], spread(rates), arithmetic, faster))
    sizes = " and ".join(f"{rows:,} for {shape}" for shape, rows in ROWS.items())
    write_page(
        "prediction",
        "Predicting",
        f"From strings to probabilities, random weights, SNLI-like pairs ({sizes}); medians of {REPEATS} turns "
        "[least, largest] after one that warms up; each way has a process, and they take turns. The peers get batches "
        f"of {PEER_BATCH} ({OPENVINO_BATCH} for OpenVINO), sorted by length but for the pipeline's; ours chooses for "
        "itself.",
        " ".join(machine_note(cores) for cores in (1, CORES))
        + " *Arithmetic* is the part of the time that our matrix products alone would take at that rate in "
        f"{PRECISION}. The bytes bound nothing here: the weights of a batch and its activations stay in the caches.",
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
        answer(ready(sys.argv[1], Path(sys.argv[2])))
    else:
        main()
