"""Any other encoder, run by the package transformers: slower than those here. No code from the hub is run.

It is transformers' class for classification without its last linear layer, whose place our head takes. So texts are
pooled as that class does it.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nli_core.errors import UserError
from nli_core.model.architecture import Architecture, ModelConfig
from nli_core.model.encoder import Encoder, EncoderOutputs
from nli_core.model.families.base import DiskNames, Family

_LABELS = 1009  # a width that nothing else has, to find the last linear layer by
_MOST_TOKENS = 8192
_MOST_REASON = 200  # characters
_NOT_OURS = ("auto_map", "dtype", "id2label", "label2id", "num_labels", "problem_type", "quantization_config")


@dataclass(frozen=True, kw_only=True)
class OtherArchitecture(Architecture):
    """The values of a `config.json`, from which transformers makes the model.

    `head` is the name of its last linear layer, and `stems` has those of all other tensors, without `.weight` and such.
    """

    values: Mapping[str, Any]
    head: str
    stems: tuple[str, ...]


class OtherEncoder(Encoder):
    """An encoder of transformers behind the interface of ours."""

    def __init__(self, architecture: OtherArchitecture) -> None:
        super().__init__(architecture)
        self.model = _build(architecture.values)
        self.model.set_submodule(architecture.head, nn.Identity())
        self._reads_types = "token_type_ids" in inspect.signature(self.model.forward).parameters
        self._pad_id = int(self.model.config.pad_token_id or 0)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        packed = input_ids.ndim == 1
        ids, types, inside = self._padded(input_ids, token_type_ids, lengths, longest)
        hidden: Tensor = self._run(ids, types, inside, output_hidden_states=True).hidden_states[-1]
        return hidden[inside] if packed else hidden

    def pooled(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        pooled: Tensor = self._run(*self._padded(input_ids, token_type_ids, lengths, longest)).logits
        return pooled

    def outputs(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> EncoderOutputs:
        padded = self._padded(input_ids, token_type_ids, lengths, None)
        found = self._run(*padded, output_hidden_states=True, output_attentions=True)
        return EncoderOutputs(found.logits, found.hidden_states[-1], found.hidden_states[1:], found.attentions)

    def _run(self, ids: Tensor, types: Tensor, inside: Tensor, **wanted: bool) -> Any:
        types_too = {"token_type_ids": types} if self._reads_types else {}
        return self.model(input_ids=ids, attention_mask=inside.long(), **types_too, **wanted)

    def _padded(
        self, ids: Tensor, types: Tensor, lengths: Tensor, longest: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return token ids and types [B, L], and which count; packed ones are padded."""
        if ids.ndim == 1:
            width = int(lengths.max()) if longest is None else longest
            places = torch.arange(width, device=ids.device)
            inside = places < lengths[:, None]
            index = ((lengths.cumsum(0) - lengths)[:, None] + places).clamp(max=len(ids) - 1)
            ids, types = ids[index], types[index]
        else:
            inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        return ids.masked_fill(~inside, self._pad_id), types * inside, inside


def family_for(model_type: str, path: Path) -> Family[OtherArchitecture]:
    """Describe the family of a `model_type` that only transformers knows; errors name `path`, which describes it.

    Raises:
        UserError: the package is not installed, or has no class for classification with it.
    """
    classifier = _classifier(model_type, path)
    return Family(
        read=_read,
        build=OtherEncoder,
        names=partial(_names, prefix=f"{classifier.base_model_prefix}."),
        classifier=classifier.__name__,
        note=f"a {model_type} is computed by the package transformers, which is slower than our own encoders",
    )


def _classifier(model_type: str, path: Path) -> Any:
    if find_spec("transformers") is None:
        raise UserError(
            f"{path}: a {model_type} needs the package transformers; in the project's folder: "
            "pip install -c constraints.txt -e '.[transformers]'"
        )
    from transformers import CONFIG_MAPPING, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    classifiers = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    if model_type not in CONFIG_MAPPING or CONFIG_MAPPING[model_type] not in classifiers:
        raise UserError(f"{path}: transformers has no classifier with a {model_type}; choose another encoder")
    return classifiers[CONFIG_MAPPING[model_type]]


def _read(config: ModelConfig) -> OtherArchitecture:
    """Read the sizes off the model that transformers makes, without memory for its weights."""
    try:
        with torch.device("meta"):
            model = _build(config.values)
    except Exception as error:  # of any kind, for any fault of a description
        reason = " ".join(str(error).split())[:_MOST_REASON] or type(error).__name__
        raise config.fault(f"transformers cannot make this encoder ({reason}); choose another one") from None
    found = model.config
    if found.is_encoder_decoder:
        raise config.fault(f"a {config.model_type} is an encoder with a decoder; choose an encoder alone")
    heads = [
        (name, each)
        for name, each in model.named_modules()
        if isinstance(each, nn.Linear) and each.out_features == _LABELS
    ]
    if len(heads) != 1 or heads[0][1].bias is None:
        raise config.fault(f"a {config.model_type} has no last linear layer with a bias; choose another encoder")
    ((name, head),) = heads
    stems = {each.rpartition(".")[0] for each, _ in model.named_parameters()} - {name}
    return OtherArchitecture(
        family=config.model_type,
        vocab_size=found.vocab_size,
        hidden_size=found.hidden_size,
        num_hidden_layers=found.num_hidden_layers,
        max_position_embeddings=_positions(model),
        pooled_size=head.in_features,
        hidden_dropout_prob=getattr(found, "hidden_dropout_prob", 0.0),
        attention_probs_dropout_prob=getattr(found, "attention_probs_dropout_prob", 0.0),
        values=config.values,
        head=name,
        stems=tuple(sorted(stems)),
    )


def _build(values: Mapping[str, Any]) -> Any:
    from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification

    kept = {name: value for name, value in values.items() if name not in _NOT_OURS}
    config = CONFIG_MAPPING[values["model_type"]].from_dict({**kept, "num_labels": _LABELS})
    return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32, attn_implementation="eager")


def _positions(model: Any) -> int:
    """Return the longest input; as in RoBERTa, the first rows of a table may belong to no token."""
    most = getattr(model.config, "max_position_embeddings", None) or 0
    if most < 1:  # it has relative positions alone
        return _MOST_TOKENS
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == most and module.padding_idx is not None:
            return int(most) - module.padding_idx - 1
    return int(most)


def _names(architecture: OtherArchitecture, *, prefix: str) -> DiskNames:
    """Name the parameters as transformers does; what is not of the encoder itself pools."""
    return DiskNames(
        parameters={f"model.{stem}": (stem,) for stem in architecture.stems},
        prefix=prefix,
        layers="encoder.",
        pooler=tuple(stem for stem in architecture.stems if not stem.startswith(prefix)),
        head=architecture.head,
    )
