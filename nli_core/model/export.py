"""A fine-tuned model for programs other than this one: a folder for transformers, or a graph in one file.

    huggingface  model.safetensors, for `AutoModelForSequenceClassification.from_pretrained`
    onnx         model.onnx, for ONNX runtimes
    torch        model.pt2, for `torch.export.load(path).module()`

Beside it lie `config.json` with the label names and the tokenizer, which truncates at the length of training and pads
nothing; beside a graph for ONNX, `infer.py`, which needs nothing of this project. All take `input_ids`,
`attention_mask` and `token_type_ids`, int64 [batch, sequence] with padding behind, and give the logits [batch, labels]
in fp32.
"""

import contextlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from nli_core.errors import UserError
from nli_core.filenames import CALIBRATION, CARD, TOKENIZER_FILES
from nli_core.log import LOGGER
from nli_core.model.answers import MultiLabel
from nli_core.model.architecture import CONFIG_NAME
from nli_core.model.classifier import Classifier
from nli_core.model.families.registry import family_of
from nli_core.model.saved import load_classifier, read_answers, read_pack_config, save_calibration
from nli_core.model.weights import WEIGHTS_NAME, classifier_tensors, save_tensors

Format = Literal["huggingface", "onnx", "torch"]
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TOKENIZER = "tokenizer.json"
_INFER = '''"""Classify a text or a pair of texts; pip install numpy onnxruntime tokenizers"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

folder = Path(__file__).parent
described = json.loads((folder / "config.json").read_text("utf-8"))
names = ["PREMISE", "HYPOTHESIS"] if described["nli_pack"]["pairs"] else ["TEXT"]
if len(sys.argv) != 1 + len(names):
    sys.exit(f"usage: python infer.py {' '.join(names)}")
text = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(*sys.argv[1:])
inputs = {"input_ids": text.ids, "attention_mask": text.attention_mask, "token_type_ids": text.type_ids}
session = InferenceSession(folder / "model.onnx")
logits = session.run(None, {name: np.array([ids]) for name, ids in inputs.items()})[0][0]
'''
_ONE_LABEL = """odds = np.exp(logits - logits.max())
for number, label in described["id2label"].items():
    print(f"{odds[int(number)] / odds.sum():.4f}  {label}")
"""
_LABELS = """calibration = folder / "calibration.json"
fitted = json.loads(calibration.read_text("utf-8")) if calibration.exists() else {"temperature": 1, "thresholds": {}}
probabilities = 1 / (1 + np.exp(-logits / fitted["temperature"]))
for number, label in described["id2label"].items():
    probability = probabilities[int(number)]
    print(f"{probability:.4f}  {label}{'  yes' if probability >= fitted['thresholds'].get(label, 0.5) else ''}")
"""


def check_packages(form: Format) -> None:
    """Raise UserError if a package that the format needs is not installed."""
    missing = [name for name in ("onnx", "onnxscript") if form == "onnx" and find_spec(name) is None]
    if missing:
        raise UserError(
            f"--format onnx needs the package {missing[0]}; in the project's folder: "
            "pip install -c constraints.txt -e '.[onnx]'"
        )


def export_model(folder: Path, out: Path, *, form: Format, calibrated: bool = False) -> Path:
    """Write the fine-tuned model in `folder` to `out`, a new folder that appears when it is whole; returns the file.

    With `calibrated` its logits are divided by its temperature: the same labels, with other probabilities. Thresholds
    of a multi-label model are in `calibration.json`.

    Raises:
        UserError: transformers has no such architecture, `out` is there already or cannot be written, a package is
            missing, or the model is damaged.
    """
    check_packages(form)
    model, answers = load_classifier(folder), read_answers(folder)
    if calibrated:
        _divide_logits(model, answers.temperature)
    architecture = model.encoder.architecture
    if form == "huggingface" and family_of(architecture).classifier is None:
        raise UserError(
            f"--format huggingface: transformers cannot express this architecture (model_type {architecture.family}); "
            "take --format onnx or --format torch"
        )
    if out.exists():
        raise UserError(f"{out}: exists; name a new folder")
    if folder.resolve() in out.resolve().parents:
        raise UserError(f"{out}: lies in the model's own folder; name one elsewhere")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            partial = Path(scratch) / out.name
            partial.mkdir()
            for name in (CONFIG_NAME, *TOKENIZER_FILES, CARD, *(() if calibrated else (CALIBRATION,))):
                if (folder / name).exists():
                    shutil.copyfile(folder / name, partial / name)
            if calibrated and isinstance(answers, MultiLabel):
                save_calibration(replace(answers, temperature=1.0), partial)
            pack = read_pack_config(folder)
            _limit_length(partial, pack.max_length)
            if pack.long_texts == "windows":
                LOGGER.warning(
                    "export: this model reads long texts in windows; exported, it reads one of %d tokens",
                    pack.max_length,
                )
            name = _write(model, folder, partial, form)
            partial.rename(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); name another folder") from None
    return out / name


def _write(model: Classifier, folder: Path, out: Path, form: Format) -> str:
    if form == "huggingface":
        save_tensors(classifier_tensors(model), out / WEIGHTS_NAME)
        return WEIGHTS_NAME
    with _quiet_exporters():
        if form == "torch":
            torch.export.save(_program(model), out / "model.pt2")
            return "model.pt2"
        torch.onnx.export(
            _program(model),
            f=out / "model.onnx",
            input_names=list(_INPUTS),
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
        if (out / _TOKENIZER).exists():
            is_multi_label = isinstance(read_answers(folder), MultiLabel)
            (out / "infer.py").write_text(_INFER + (_LABELS if is_multi_label else _ONE_LABEL), encoding="utf-8")
        return "model.onnx"


def _divide_logits(model: Classifier, temperature: float) -> None:
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.div_(temperature)


class _ByMask(nn.Module):
    """The classifier, asked as those of transformers are."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids, token_type_ids, attention_mask.sum(dim=1))
        return logits


def _program(model: Classifier) -> ExportedProgram:
    """Trace the model's graph for any number of examples of any length that it has positions for."""
    axes = {0: Dim("batch", min=1), 1: Dim("sequence", min=1, max=model.encoder.architecture.max_position_embeddings)}
    example = {name: torch.ones(2, 3, dtype=torch.int64) for name in _INPUTS}
    return torch.export.export(_ByMask(model), (), example, dynamic_shapes=dict.fromkeys(_INPUTS, axes))


def _limit_length(folder: Path, max_length: int) -> None:
    """Have the tokenizer truncate at the length that the model was trained with, and pad nothing."""
    path = folder / "tokenizer_config.json"
    described = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**described, "model_max_length": max_length}, indent=2) + "\n", encoding="utf-8")
    path = folder / _TOKENIZER
    if path.exists():
        described = json.loads(path.read_text(encoding="utf-8"))
        cut = {"direction": "Right", "max_length": max_length, "strategy": "LongestFirst", "stride": 0}
        described |= {"truncation": cut, "padding": None}
        path.write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")


@contextlib.contextmanager
def _quiet_exporters() -> Iterator[None]:
    """Silence what torch says about packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
