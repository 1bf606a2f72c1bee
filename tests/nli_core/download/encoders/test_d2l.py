"""The oracle is what the book's own code computes with its own checkpoint format."""

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nli_core.config import PackConfig
from nli_core.data.examples.encode import Texts, encode_texts
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.download.encoders.d2l import D2L_SHA1, D2lEncoder
from nli_core.download.encoders.registry import EncoderConfig
from nli_core.download.origin import Origin
from nli_core.errors import UserError
from nli_core.model.classifier import Classifier
from nli_core.model.post_norm import PostNormLayer
from nli_core.model.weights import load_encoder

pytestmark = pytest.mark.faults("inputs tried")

SIZES = {"hidden_size": 32, "intermediate_size": 64, "heads": 4, "layers": 2, "positions": 64}
Download = Callable[[EncoderConfig], Origin]


@pytest.fixture
def archive(shared_data: Path, tmp_path: Path) -> Path:
    return shutil.copyfile(shared_data / "d2l_oracle" / "bert.tiny.torch.zip", tmp_path / "bert.tiny.torch.zip")


@pytest.fixture
def expected(shared_data: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    folder = shared_data / "d2l_oracle"
    described = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return described, load_file(folder / "expected.safetensors")


def _config(archive: Path, **fields: Any) -> D2lEncoder:
    return D2lEncoder(name="d2l:bert.small", source=str(archive), **{**SIZES, **fields})


def _rewrite(archive: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit the state dict within an archive."""
    with zipfile.ZipFile(archive) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    name = next(name for name in members if name.endswith("pretrained.params"))
    tensors = torch.load(io.BytesIO(members[name]), weights_only=True)
    change(tensors)
    saved = io.BytesIO()
    torch.save(tensors, saved)
    members[name] = saved.getvalue()
    with zipfile.ZipFile(archive, "w") as opened:
        for member, body in members.items():
            opened.writestr(member, body)


def test_ids_segments_and_lengths_are_the_books(
    archive: Path, out: Path, download: Download, expected: tuple[dict[str, Any], dict[str, torch.Tensor]]
) -> None:
    described, tensors = expected
    download(_config(archive))
    premises, hypotheses = (Texts.of(described[name], described[name]) for name in ("premises", "hypotheses"))
    config = PackConfig(max_length=described["packed_max_len"])
    encoded = encode_texts(Tokenizer(out), premises, hypotheses, config)
    assert encoded.truncated_examples > 0
    batch = encoded.examples.batch(np.arange(len(described["labels"])))
    assert torch.equal(batch.input_ids, tensors["token_ids"])
    assert torch.equal(batch.token_type_ids, tensors["segments"])
    assert torch.equal(batch.lengths, tensors["valid_lens"])


def test_encoder_and_logits_are_the_books(
    archive: Path, out: Path, download: Download, expected: tuple[dict[str, Any], dict[str, torch.Tensor]]
) -> None:
    tensors = expected[1]
    download(_config(archive))
    encoder, _ = load_encoder(out)
    model = Classifier(encoder, ("entailment", "contradiction", "neutral")).eval()
    model.head.load_state_dict({"weight": tensors["output.weight"], "bias": tensors["output.bias"]})
    inputs = (tensors["token_ids"], tensors["segments"], tensors["valid_lens"])
    with torch.no_grad():
        torch.testing.assert_close(encoder(*inputs)[:, 0], tensors["encoded_cls"], atol=1e-5, rtol=0)
        torch.testing.assert_close(model(*inputs), tensors["logits"], atol=1e-5, rtol=0)


def test_the_heads_of_pretraining_are_left_out_and_named(archive: Path, out: Path, download: Download) -> None:
    origin = download(_config(archive))
    assert len(origin.left_out) == 8
    assert {name.split(".")[0] for name in origin.left_out} == {"mlm", "nsp"}
    assert not any(name.startswith(("mlm", "nsp")) for name in load_file(out / "model.safetensors"))


def test_heads_blocks_and_dropout_are_those_of_the_config(archive: Path, out: Path, download: Download) -> None:
    """The book's loader takes these arguments and then uses numbers of its own (16.7.1)."""
    download(_config(archive, heads=2, dropout=0.25))
    encoder, _ = load_encoder(out)
    layers = [layer for layer in encoder.layers if isinstance(layer, PostNormLayer)]
    assert [(layer.query_key_value.heads, layer.dropout_rate, layer.attention_dropout_rate) for layer in layers] == [
        (2, 0.25, 0.25)
    ] * 2


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (
            {"hidden_size": 64},
            r"encoder\.token_embedding\.weight has shape \[405, 32\], the config implies \[405, 64\]",
        ),
        (
            {"intermediate_size": 32},
            r"blks\.0\.ffn\.dense1\.weight has shape \[64, 32\], the config implies \[32, 32\]",
        ),
        ({"positions": 512}, r"encoder\.pos_embedding has shape \[1, 64, 32\], the config implies \[1, 512, 32\]"),
        ({"layers": 3}, r"lacks the tensor encoder\.blks\.2\.attention\.W_q\.weight; check encoder\.layers=3"),
        ({"layers": 1}, r"has the tensor encoder\.blks\.1\.\S+ too; check encoder\.layers=1"),
    ],
)
def test_another_architecture_than_the_configs_is_refused(
    archive: Path, download: Download, fields: dict[str, int], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        download(_config(archive, **fields))


def test_a_vocabulary_of_another_size_is_refused(archive: Path, download: Download) -> None:
    def shorten(tensors: dict[str, Any]) -> None:
        tensors["encoder.token_embedding.weight"] = tensors["encoder.token_embedding.weight"][:-1]

    _rewrite(archive, shorten)
    with pytest.raises(UserError, match=r"vocab\.json has 405 tokens, encoder\.token_embedding\.weight 404 rows"):
        download(_config(archive))


class _RunsCode:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (Path("harmed"),)  # type: ignore[return-value]


def test_a_pickle_that_runs_code_does_not_run(
    archive: Path, download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(archive) as opened:
        vocabulary = opened.read("bert.tiny.torch/vocab.json")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("bert.tiny.torch/vocab.json", vocabulary)
        opened.writestr("bert.tiny.torch/pretrained.params", pickle.dumps({"encoder": _RunsCode()}, protocol=2))
    with pytest.raises(UserError, match=r"pretrained\.params is damaged or holds more than tensors; point encoder"):
        download(_config(archive))
    assert not (tmp_path / "harmed").exists()


def test_weights_that_were_saved_on_a_gpu_load_without_one(
    archive: Path, out: Path, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The book loads without map_location, which fails on a machine without the device that saved."""
    with monkeypatch.context() as patched:
        patched.setattr("torch.serialization.location_tag", lambda _storage: "cuda:0")
        _rewrite(archive, lambda _tensors: None)
    with zipfile.ZipFile(archive) as opened:
        assert b"cuda:0" in opened.read("bert.tiny.torch/pretrained.params")
    download(_config(archive))
    assert (out / "model.safetensors").exists()


def test_the_published_archives_are_known_by_their_digests() -> None:
    assert D2lEncoder(name="d2l:bert.small").identity()["sha256"] == D2L_SHA1["d2l:bert.small"]
    assert D2lEncoder(name="d2l:bert.base").identity()["sha256"] == "225d66f04cae318b841a13d32af3acc165f253ac"


def test_an_archive_is_verified_before_it_is_read(server, archive: Path, out: Path, download: Download) -> None:
    """The book checks a digest only where the file is there already."""
    (server.folder / "bert.small.torch.zip").write_bytes(archive.read_bytes())
    address = f"{server.address}/bert.small.torch.zip"
    with pytest.raises(UserError, match=r"expected sha256 0{64}"):
        download(D2lEncoder(name="d2l:bert.small", source=address, sha256="0" * 64, **SIZES))
    assert not list(out.iterdir())
    assert not download(D2lEncoder(name="d2l:bert.small", source=address, **SIZES)).verified


def test_an_archive_that_cannot_be_had_is_one_line_that_names_it(download: Download, server) -> None:
    with pytest.raises(UserError, match=r"bert\.base\.torch\.zip.*HTTP 404.*encoder\.source"):
        download(D2lEncoder(name="d2l:bert.base", source=f"{server.address}/bert.base.torch.zip"))
    with pytest.raises(UserError, match=r"there is no file /nowhere.*bert\.small\.torch\.zip"):
        D2lEncoder(name="d2l:bert.small", source="/nowhere").identity()


def test_an_archive_that_would_write_elsewhere_is_refused(archive: Path, out: Path, download: Download) -> None:
    """The book extracts whatever an archive holds."""
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("../escaped.json", "{}")
    with pytest.raises(UserError, match=r"'\.\./escaped\.json' leads out of the archive"):
        download(_config(archive))
    assert not list(out.iterdir())


def _poison(tensors: dict[str, Any]) -> None:
    tensors["hidden.0.bias"][3] = float("nan")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_poison, r"hidden\.0\.bias has NaN or infinite values"),
        (
            lambda tensors: tensors.update({"x": torch.eye(2).to_sparse()}),
            "x in pretrained.params is not a dense tensor",
        ),
        (lambda tensors: tensors.update({7: torch.eye(2)}), "is not a state dict"),
        (lambda tensors: tensors.update({"x": "text"}), "x in pretrained.params is not a dense tensor"),
    ],
)
def test_weights_that_are_not_weights_are_refused(
    archive: Path, download: Download, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    _rewrite(archive, change)
    with pytest.raises(UserError, match=named):
        download(_config(archive))


@pytest.mark.parametrize(
    ("member", "body", "named"),
    [
        ("pretrained.params", b"", "is damaged or holds more than tensors"),
        ("vocab.json", b"[" * 100_000, "is not valid JSON"),
        ("vocab.json", b'["<cls>", "<sep>", "<pad>", "<unk>", "a", "a"]', "'a' more than once"),
        ("vocab.json", b'["a"]', "has no <cls>"),
    ],
)
def test_a_damaged_member_is_one_line(archive: Path, download: Download, member: str, body: bytes, named: str) -> None:
    with zipfile.ZipFile(archive) as opened:
        bodies = {Path(name).name: opened.read(name) for name in opened.namelist()}
    with zipfile.ZipFile(archive, "w") as opened:
        for name, kept in {**bodies, member: body}.items():
            opened.writestr(name, kept)
    with pytest.raises(UserError, match=named):
        download(_config(archive))


def test_an_encrypted_archive_is_one_line(archive: Path, download: Download) -> None:
    body = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := body.find(signature, place + 1)) >= 0:
            body[place + flags] |= 1
    archive.write_bytes(bytes(body))
    with pytest.raises(UserError, match="is not an intact zip archive"):
        download(_config(archive))
