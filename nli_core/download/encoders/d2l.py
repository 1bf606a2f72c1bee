"""The checkpoint format of Dive into Deep Learning (16.7.1), turned into the layout that the other stages read.

    bert.small.torch.zip
        bert.small.torch/vocab.json          the tokens in the order of their ids
        bert.small.torch/pretrained.params   a pickled state dict of the book's BERTModel

Names change to the hub's, and the heads of pretraining (`mlm.*`, `nsp.*`) are left out. The tensors show
all sizes except the number of heads and the dropout. They must be those of the config, whose fields the book's own
loader partly ignores. Reading the pickle runs no code in it, and puts all tensors on the CPU.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from nli_core.config.base import NOT_IN_KEY, Float, Int, Sha256
from nli_core.download import archives
from nli_core.download.encoders.base import CONFIG_NAME, Encoder
from nli_core.download.origin import Origin
from nli_core.download.source import Source
from nli_core.errors import UserError
from nli_core.hashing import file_sha256
from nli_core.paths import user_path
from nli_core.urls import is_remote, without_password

if TYPE_CHECKING:
    from torch import Tensor

    from nli_core.download.fetch import Fetcher

# The book names http addresses under the same host, and SHA-1 digests.
D2L_ADDRESS = "https://d2l-data.s3-accelerate.amazonaws.com"
D2L_SHA1 = {
    "d2l:bert.small": "c72329e68a732bef0452e4b96a1c341c8910f81f",
    "d2l:bert.base": "225d66f04cae318b841a13d32af3acc165f253ac",
}
_VOCABULARY, _WEIGHTS = "vocab.json", "pretrained.params"
_WORDS, _POSITIONS = "encoder.token_embedding.weight", "encoder.pos_embedding"
_UNREADABLE = (UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError)
_PRETRAINING = ("mlm.", "nsp.")
_LAYER_NORM_EPSILON = 1e-5
_REMEDY = "point encoder.source=... at a good copy of the archive"


class D2lEncoder(Encoder):
    """A pretrained BERT in the format of Dive into Deep Learning, 16.7.1. Empty sizes are those of the name."""

    name: Literal["d2l:bert.small", "d2l:bert.base"]
    source: str | None = Field(
        None,
        min_length=1,
        description="http(s) address or local path of the archive; empty: the published one",
        json_schema_extra=NOT_IN_KEY,
    )
    sha256: Sha256 | None = Field(None, description="digest that the archive of `source` must have; empty: unverified")
    hidden_size: Int = Field(256, ge=1, le=65_536, description="width of the hidden states")
    intermediate_size: Int = Field(512, ge=1, le=262_144, description="width of the feed-forward networks")
    heads: Int = Field(4, ge=1, le=1024, description="attention heads; the tensors do not show them")
    layers: Int = Field(2, ge=1, le=1000, description="transformer blocks")
    positions: Int = Field(512, ge=1, le=65_536, description="the longest input that the encoder has positions for")
    dropout: Float = Field(0.1, ge=0, lt=1, description="dropout after attention weights, attention and feed-forward")

    @model_validator(mode="before")
    @classmethod
    def _sizes_of_the_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") == "d2l:bert.base":
            return {"hidden_size": 768, "intermediate_size": 3072, "heads": 12, "layers": 12, **values}
        return values

    @model_validator(mode="after")
    def _whole_heads(self) -> "D2lEncoder":
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        return self

    @classmethod
    def claims(cls, name: str) -> bool:
        return name.startswith("d2l:")

    def identity(self) -> dict[str, Any]:
        identity = self.result_fields()
        identity["sha256"] = self._expected_digest()
        if identity["sha256"] is None and self.source is not None:
            remote = is_remote(self.source)
            identity["archive"] = without_password(self.source) if remote else file_sha256(self._existing())
        return identity

    def sources(self) -> Iterator[Source]:
        yield Source(self.name, self._address(), "encoder.source")

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        """Leave `config.json`, `model.safetensors` and `tokenizer.json` in the folder `out`.

        Raises:
            UserError: the archive cannot be fetched, is damaged, or holds another architecture than the config says.
        """
        digest, address = self._expected_digest(), self._address()
        archive = fetcher.fetch(address, digest=digest, remedy=_REMEDY)
        archives.extract(archive, (_VOCABULARY, _WEIGHTS), fetcher.scratch, remedy=_REMEDY)
        vocabulary = _read_vocabulary(fetcher.scratch / _VOCABULARY, archive)
        tensors = _read_tensors(fetcher.scratch / _WEIGHTS, archive)
        left_out = sorted(name for name in tensors if name.startswith(_PRETRAINING))
        converted = _convert(tensors, self, len(vocabulary), archive)
        from safetensors.torch import save_file

        from nli_core.data.tokenize.word_level import book_tokenizer

        save_file(dict(sorted(converted.items())), out / "model.safetensors", metadata={"format": "pt"})
        book_tokenizer(vocabulary).save(str(out / "tokenizer.json"))
        described = describe(self, len(vocabulary))
        (out / CONFIG_NAME).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        sha256 = file_sha256(archive)
        return Origin(without_password(address), sha256, verified=digest is not None, left_out=left_out)

    def _address(self) -> str:
        return self.source or f"{D2L_ADDRESS}/{self.name.removeprefix('d2l:')}.torch.zip"

    def _expected_digest(self) -> str | None:
        return D2L_SHA1[self.name] if self.source is None and self.sha256 is None else self.sha256

    def _existing(self) -> Path:
        path = user_path(self.source or "")
        if not path.is_file():
            raise UserError(
                f"encoder.source: there is no file {path}; give the path or address of {self.name[4:]}.torch.zip"
            )
        return path


def _read_vocabulary(path: Path, archive: Path) -> list[str]:
    from nli_core.data.tokenize.word_level import BOOK_SPECIALS

    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{archive}: {_VOCABULARY} is not valid JSON ({error}); {_REMEDY}") from None
    if not isinstance(vocabulary, list) or not all(isinstance(token, str) for token in vocabulary):
        raise UserError(f"{archive}: {_VOCABULARY} is not a list of tokens; {_REMEDY}")
    if missing := [token for token in BOOK_SPECIALS if token not in vocabulary]:
        raise UserError(f"{archive}: {_VOCABULARY} has no {missing[0]}; {_REMEDY}")
    if len(set(vocabulary)) < len(vocabulary):
        repeated = next(token for index, token in enumerate(vocabulary) if token in vocabulary[:index])
        raise UserError(f"{archive}: {_VOCABULARY} has {repeated!r} more than once; {_REMEDY}")
    return vocabulary


def _read_tensors(path: Path, archive: Path) -> "dict[str, Tensor]":
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE:
        # The reason that torch gives comes with the advice to trust the file.
        raise UserError(f"{archive}: {_WEIGHTS} is damaged or holds more than tensors; {_REMEDY}") from None
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise UserError(f"{archive}: {_WEIGHTS} is not a state dict; {_REMEDY}")
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise UserError(f"{archive}: {name} in {_WEIGHTS} is not a dense tensor; {_REMEDY}")
        if not tensor.isfinite().all():
            raise UserError(f"{archive}: the tensor {name} has NaN or infinite values; {_REMEDY}")
    return tensors


def _convert(
    tensors: "Mapping[str, Tensor]", config: D2lEncoder, vocabulary_size: int, archive: Path
) -> "dict[str, Tensor]":
    """Rename the encoder's tensors to the hub's names."""
    names = _names(config, vocabulary_size)
    for name, (_, shape) in names.items():
        if name not in tensors:
            raise UserError(f"{archive}: {_WEIGHTS} lacks the tensor {name}; check encoder.layers={config.layers}")
        found = tuple(tensors[name].shape)
        if name == _WORDS and found[1:] == shape[1:] and found != shape:
            raise UserError(
                f"{archive}: {_VOCABULARY} has {vocabulary_size} tokens, {name} {found[0]} rows; they do not fit"
            )
        if found != shape:
            raise UserError(
                f"{archive}: the tensor {name} has shape {list(found)}, the config implies {list(shape)}; set "
                f"encoder.hidden_size, intermediate_size, layers and positions as the checkpoint has them"
            )
    surplus = sorted(name for name in tensors if name not in names and not name.startswith(_PRETRAINING))
    if surplus:
        raise UserError(f"{archive}: {_WEIGHTS} has the tensor {surplus[0]} too; check encoder.layers={config.layers}")
    converted = {theirs: tensors[name].float().contiguous() for name, (theirs, _) in names.items()}
    positions = names[_POSITIONS][0]
    return {**converted, positions: converted[positions][0]}  # the book adds a dimension for the batch


def expected_tensors(config: D2lEncoder, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors in a checkpoint of this config, without the pretraining heads."""
    return {name: shape for name, (_, shape) in _names(config, vocabulary_size).items()}


def _names(config: D2lEncoder, vocabulary_size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Map the book's name of each tensor to the hub's, and to the shape that the config implies."""
    hidden, inner = config.hidden_size, config.intermediate_size
    names: dict[str, tuple[str, tuple[int, ...]]] = {
        _WORDS: ("embeddings.word_embeddings.weight", (vocabulary_size, hidden)),
        "encoder.segment_embedding.weight": ("embeddings.token_type_embeddings.weight", (2, hidden)),
        _POSITIONS: ("embeddings.position_embeddings.weight", (1, config.positions, hidden)),
        "hidden.0.weight": ("pooler.dense.weight", (hidden, hidden)),
        "hidden.0.bias": ("pooler.dense.bias", (hidden,)),
    }
    square, flat = (hidden, hidden), (hidden,)
    for index in range(config.layers):
        for ours, theirs, shape in (
            ("attention.W_q", "attention.self.query", square),
            ("attention.W_k", "attention.self.key", square),
            ("attention.W_v", "attention.self.value", square),
            ("attention.W_o", "attention.output.dense", square),
            ("addnorm1.ln", "attention.output.LayerNorm", flat),
            ("ffn.dense1", "intermediate.dense", (inner, hidden)),
            ("ffn.dense2", "output.dense", (hidden, inner)),
            ("addnorm2.ln", "output.LayerNorm", flat),
        ):
            book, hub = f"encoder.blks.{index}.{ours}", f"encoder.layer.{index}.{theirs}"
            names[f"{book}.weight"] = (f"{hub}.weight", shape)
            names[f"{book}.bias"] = (f"{hub}.bias", shape[:1])
    return names


def describe(config: D2lEncoder, vocabulary_size: int) -> dict[str, Any]:
    """Describe the book's BERT as a `config.json`: ReLU, and neither norm nor dropout on its embeddings (15.8)."""
    return {
        "model_type": "d2l_bert",
        "vocab_size": vocabulary_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.positions,
        "type_vocab_size": 2,
        "hidden_act": "relu",
        "layer_norm_eps": _LAYER_NORM_EPSILON,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
    }
