"""What other programs compute with an exported model. The oracle is the model itself, in fp32."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nli_core.config import PackConfig
from nli_core.download.encoders.scratch import TransformerEncoder
from nli_core.download.fetch import Fetcher
from nli_core.errors import UserError
from nli_core.inference.predictor import Predictor
from nli_core.model.answers import MultiLabel
from nli_core.model.classifier import Classifier
from nli_core.model.export import export_model
from nli_core.model.saved import load_classifier, read_pack_config, save_calibration, save_classifier
from nli_core.model.weights import load_encoder

LABELS = ("no", "yes")
Answer = Callable[[dict[str, Tensor]], Tensor]


def _exported(encoder: Path, out: Path, separator: str | None = None) -> Path:
    torch.manual_seed(0)
    model = Classifier(load_encoder(encoder)[0], LABELS, head_dropout=0.3)
    save_classifier(model, encoder, encoder, out, pack=PackConfig(max_length=64), pairs=True, separator=separator)
    return out


def _with_family(tiny_encoder: Path, folder: Path, family: str) -> Path:
    shutil.copytree(tiny_encoder, folder)
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "model_type": family}))
    return folder


@pytest.fixture(params=["bert", *(pytest.param(name, marks=pytest.mark.slow) for name in ("d2l_bert", "transformer"))])
def model(request: pytest.FixtureRequest, tmp_path: Path, tiny_encoder: Path) -> Path:
    """A classifier of each family."""
    folder = tmp_path / "encoder"
    if request.param == "transformer":
        config = TransformerEncoder(
            name="transformer", vocabulary_size=50, hidden_size=16, heads=2, head_size=12, intermediate_size=24
        )
        folder.mkdir()
        config.download(folder, Fetcher(tmp_path, tmp_path))
    else:
        _with_family(tiny_encoder, folder, request.param)
    return _exported(folder, tmp_path / "model")


def _of_torch(path: Path) -> Answer:
    graph = torch.export.load(path).module()
    return lambda batch: graph(**batch)


def _of_onnx(path: Path) -> Answer:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda batch: torch.from_numpy(session.run(None, {name: part.numpy() for name, part in batch.items()})[0])


def _of_transformers(path: Path) -> Answer:
    from transformers import AutoModelForSequenceClassification

    theirs = AutoModelForSequenceClassification.from_pretrained(path.parent).eval()
    return lambda batch: theirs(**batch).logits


def _check(folder: Path, answer: Answer) -> None:
    """A single example, many, of all lengths, padded or not: the same logits."""
    ours, source = load_classifier(folder), np.random.default_rng(0)
    for examples, longest in ((1, 1), (1, 7), (2, 64), (33, 20)):
        lengths = source.integers(1, longest + 1, examples)
        lengths[0] = longest
        inside = torch.from_numpy(np.arange(longest) < lengths[:, None])
        batch = {
            "input_ids": torch.from_numpy(source.integers(0, 50, inside.shape)),
            "attention_mask": inside.long(),
            "token_type_ids": torch.from_numpy(source.integers(0, 2, inside.shape)),
        }
        with torch.no_grad():
            expected = ours(batch["input_ids"], batch["token_type_ids"], torch.from_numpy(lengths))
            torch.testing.assert_close(answer(batch), expected, atol=1e-5, rtol=0)


def test_plain_torch_computes_the_same(model: Path, tmp_path: Path) -> None:
    _check(model, _of_torch(export_model(model, tmp_path / "out" / "torch", form="torch")))
    assert (tmp_path / "out" / "torch" / "config.json").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["torch"]


def test_onnxruntime_computes_the_same(model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _check(model, _of_onnx(export_model(model, tmp_path / "onnx", form="onnx")))
    assert caplog.text == ""


def test_transformers_computes_the_same(tiny_encoder: Path, tmp_path: Path) -> None:
    model = _exported(tiny_encoder, tmp_path / "model")
    _check(model, _of_transformers(export_model(model, tmp_path / "huggingface", form="huggingface")))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "huggingface")
    assert tokenizer.model_max_length == read_pack_config(model).max_length


@pytest.fixture(params=["here", pytest.param("bare", marks=pytest.mark.slow)])
def python(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An interpreter: this one, or one with nothing but what `infer.py` names."""
    if request.param == "here":
        return Path(sys.executable)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "numpy", "onnxruntime", "tokenizers"], check=True)
    return python


def test_a_script_beside_the_graph_answers_texts(tiny_encoder: Path, tmp_path: Path, python: Path) -> None:
    from transformers import AutoTokenizer

    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(encoder)
    out = tmp_path / "onnx"
    export_model(_exported(encoder, tmp_path / "model"), out, form="onnx")
    assert json.loads((out / "tokenizer.json").read_text())["padding"] is None
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), load_classifier(tmp_path / "model")
    command = [python, "-I", str(out / "infer.py"), "a dog is in the park"]
    for hypothesis, truncated in (("the dog sleeps", False), ("the dog sleeps " * 40, True)):
        done = subprocess.run([*command, hypothesis], cwd=tmp_path, capture_output=True, text=True, check=True)
        encoded = tokenizer(command[-1], hypothesis, truncation=True, max_length=64, return_tensors="pt")
        assert (encoded["input_ids"].shape[1] == 64) == truncated
        with torch.no_grad():
            logits = model(encoded["input_ids"], encoded["token_type_ids"], encoded["attention_mask"].sum(dim=1))
        expected = [f"{value:.4f}  {label}" for value, label in zip(torch.softmax(logits[0], 0), LABELS, strict=True)]
        assert done.stdout.splitlines() == expected
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (1, "usage: python infer.py PREMISE HYPOTHESIS\n")


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.slow
def test_a_script_of_a_multi_label_model_marks_its_answer(tiny_encoder: Path, tmp_path: Path, calibrated: bool) -> None:
    from transformers import AutoTokenizer

    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(encoder)
    model, out = _exported(encoder, tmp_path / "model", separator=","), tmp_path / "onnx"
    texts = "a dog is in the park", "the dog sleeps"
    plain = Predictor(model, precision="fp32").probabilities(*([text] for text in texts))[0]
    answers = MultiLabel(labels=LABELS, separator=",", thresholds=(plain[0] - 0.01, plain[1] + 0.01)).calibrated(2.0)
    save_calibration(answers, model)
    export_model(model, out, form="onnx", calibrated=calibrated)
    command = [sys.executable, str(out / "infer.py"), *texts]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    values = 1 / (1 + ((1 - plain) / plain) ** 0.5)
    assert done.stdout.splitlines() == [f"{values[0]:.4f}  no  yes", f"{values[1]:.4f}  yes"]


def test_the_books_architecture_is_refused_by_transformers(tiny_encoder: Path, tmp_path: Path) -> None:
    model = _exported(_with_family(tiny_encoder, tmp_path / "encoder", "d2l_bert"), tmp_path / "model")
    with pytest.raises(UserError, match="transformers cannot express this architecture"):
        export_model(model, tmp_path / "huggingface", form="huggingface")
    assert not (tmp_path / "huggingface").exists()


def test_what_is_there_stays(tiny_encoder: Path, tmp_path: Path) -> None:
    model = _exported(tiny_encoder, tmp_path / "model")
    with pytest.raises(UserError, match="exists; name a new folder"):
        export_model(model, tmp_path / "model", form="torch")
    with pytest.raises(UserError, match="lies in the model's own folder; name one elsewhere"):
        export_model(model, tmp_path / "model" / "exported", form="torch")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        export_model(model, tmp_path / "file" / "out", form="torch")
