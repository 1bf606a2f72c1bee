import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from nli_core.config import PackConfig
from nli_core.errors import UserError
from nli_core.model.classifier import Classifier
from nli_core.model.saved import load_classifier, read_labels, read_pack_config, save_classifier
from nli_core.model.weights import load_encoder

pytestmark = pytest.mark.faults("inputs tried")

PACK = PackConfig(max_length=64, truncation="ratio")
LABELS = ("entailment", "contradiction", "neutral")


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder: Path) -> Path:
    return shutil.copytree(tiny_encoder, tmp_path / "encoder")


def _same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    theirs = two.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def _edit(folder: Path, **tensors: torch.Tensor | None) -> None:
    known = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        known.pop(name)
        if tensor is not None:
            known[name] = tensor
    save_file(known, folder / "model.safetensors")


def _replaced(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def test_prefixes_old_norm_names_and_heads_are_understood(folder: Path) -> None:
    plain, report = load_encoder(folder)
    assert report.unused == report.fresh == []
    known = load_file(folder / "model.safetensors")
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {f"bert.{_replaced(name, names)}": tensor for name, tensor in known.items()}
    save_file({**renamed, "cls.predictions.bias": torch.zeros(3)}, folder / "model.safetensors")
    again, report = load_encoder(folder)
    assert report.unused == ["cls.predictions.bias"]
    assert _same(plain, again)


def test_a_pickled_checkpoint_is_loaded_as_weights_only(folder: Path) -> None:
    plain, _ = load_encoder(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert _same(load_encoder(folder)[0], plain)


class _Explodes:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('the pickle ran')",))


def test_code_in_a_pickle_does_not_run(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weights": _Explodes()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="is damaged or holds more than tensors"):
        load_encoder(folder)


def test_a_damaged_file_is_named(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model\.safetensors: cannot be read as weights"):
        load_encoder(folder)


def _lying(claims: dict[str, object]) -> bytes:
    header = json.dumps({"pooler.dense.bias": {"dtype": "F32", "shape": [32], "data_offsets": [0, 128], **claims}})
    return struct.pack("<Q", len(header)) + header.encode() + bytes(128)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(_lying({"shape": [2**40]}), id="a shape larger than its bytes"),
        pytest.param(_lying({"data_offsets": [0, 2**40]}), id="bytes behind the end of the file"),
        pytest.param(_lying({"data_offsets": [128, 0]}), id="bytes that end before they begin"),
        pytest.param(_lying({"dtype": "F99"}), id="an unknown type"),
        pytest.param(struct.pack("<Q", 2**60) + b"{}", id="a header longer than the file"),
        pytest.param(struct.pack("<Q", 2) + b"[]", id="a header that is no table"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_header_that_lies_is_refused(folder: Path, body: bytes) -> None:
    (folder / "model.safetensors").write_bytes(body)
    with pytest.raises(UserError, match=r"model\.safetensors: cannot be read as weights"):
        load_encoder(folder)


def test_weights_that_are_no_numbers_are_named(folder: Path) -> None:
    _edit(folder, **{"pooler.dense.bias": torch.full((32,), float("nan"))})
    with pytest.raises(UserError, match=r"pooler\.dense\.bias has NaN or infinite values"):
        load_encoder(folder)
    for kind in ("int64", "complex64", "float8_e4m3fn"):
        _edit(folder, **{"pooler.dense.bias": torch.ones(32).to(getattr(torch, kind))})
        with pytest.raises(UserError, match=rf"pooler\.dense\.bias holds {kind}, no floats of 16, 32 or 64 bits"):
            load_encoder(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    _edit(folder, **{"pooler.dense.weight": None})
    with pytest.raises(UserError, match=r"lack the tensor pooler\.dense\.weight"):
        load_encoder(folder)


def test_a_pooler_that_is_not_there_begins_from_scratch(folder: Path) -> None:
    _edit(folder, **{"pooler.dense.weight": None, "pooler.dense.bias": None})
    torch.manual_seed(0)
    encoder, report = load_encoder(folder)
    assert report.fresh == ["pooler.dense.weight", "pooler.dense.bias"]
    assert float(encoder.pooler.weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder: Path) -> None:
    _edit(folder, **{"pooler.dense.weight": torch.zeros(32, 16)})
    with pytest.raises(UserError, match=r"pooler\.dense\.weight has shape \[32, 16\], config\.json implies \[32, 32\]"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model_type", "mystery", "transformers has no classifier with a mystery; choose another encoder"),
        ("hidden_act", "swish", "hidden_act 'swish'"),
        ("position_embedding_type", "relative_key", "known are absolute"),
        ("num_attention_heads", 5, "not a multiple"),
        ("num_attention_heads", 0, "num_attention_heads must be a whole number from 1 to 1,024, and is 0"),
        ("num_hidden_layers", 10**9, "num_hidden_layers must be a whole number from 1 to 1,000"),
        ("hidden_size", "32", "hidden_size must be a whole number"),
        ("hidden_dropout_prob", 1.5, "hidden_dropout_prob must be a number from 0 to below 1, and is 1.5"),
        ("layer_norm_eps", float("nan"), "layer_norm_eps must be a number"),
    ],
)
def test_what_the_encoder_cannot_do_is_refused(folder: Path, field: str, value: object, message: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(UserError, match=message):
        load_encoder(folder)


def test_a_saved_model_loads_in_transformers_with_equal_logits(tmp_path: Path, tiny_encoder: Path) -> None:
    torch.manual_seed(0)
    ours = Classifier(load_encoder(tiny_encoder)[0], LABELS).eval()
    save_classifier(ours, tiny_encoder, tiny_encoder, tmp_path / "model", pack=PACK, pairs=True)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", attn_implementation="eager").eval()
    assert theirs.config.id2label == dict(enumerate(LABELS))
    encoded = AutoTokenizer.from_pretrained(tmp_path / "model")(
        "a girl is here", "a child is here", return_tensors="pt"
    )
    with torch.no_grad():
        expected = theirs(**encoded).logits
        found = ours(encoded["input_ids"], encoded["token_type_ids"], encoded["attention_mask"].sum(dim=1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_an_exported_model_comes_back_whole(tmp_path: Path, tiny_encoder: Path) -> None:
    torch.manual_seed(0)
    model = Classifier(load_encoder(tiny_encoder)[0], LABELS)
    save_classifier(model, tiny_encoder, tiny_encoder, tmp_path / "model", pack=PACK, pairs=True)
    again = load_classifier(tmp_path / "model")
    assert _same(model, again)
    assert again.labels == read_labels(tmp_path / "model") == LABELS
    assert read_pack_config(tmp_path / "model") == PACK


def test_transformers_refuses_a_family_that_it_does_not_know(tmp_path: Path, tiny_encoder: Path) -> None:
    """Rather than to put a norm into the embeddings that was not trained."""
    described = json.loads((tiny_encoder / "config.json").read_text())
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (tmp_path / "encoder" / "config.json").write_text(json.dumps({**described, "model_type": "d2l_bert"}))
    model = Classifier(load_encoder(tmp_path / "encoder")[0], LABELS)
    save_classifier(model, tmp_path / "encoder", tiny_encoder, tmp_path / "model", pack=PACK, pairs=True)
    with pytest.raises(ValueError, match="d2l_bert"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert _same(model, load_classifier(tmp_path / "model"))


def test_absurd_sizes_are_refused_before_they_take_memory(folder: Path) -> None:
    described = json.loads((folder / "config.json").read_text())
    before = psutil.Process().memory_info().rss
    for name, size in {"vocab_size": 2**31, "num_hidden_layers": 1000, "intermediate_size": 2**18}.items():
        (folder / "config.json").write_text(json.dumps({**described, name: size}))
        with pytest.raises(UserError, match=r"config\.json implies|lack the tensor"):
            load_encoder(folder)
    assert psutil.Process().memory_info().rss - before < 500_000_000


@pytest.mark.slow
def test_loading_weights_imports_no_compiler(tiny_encoder: Path) -> None:
    """It would take two seconds of every prediction."""
    script = "import sys, pathlib; from nli_core.model.weights import load_encoder\n"
    script += "load_encoder(pathlib.Path(sys.argv[1])); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, str(tiny_encoder)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
