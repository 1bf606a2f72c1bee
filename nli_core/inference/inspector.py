"""Looking into an encoder: everything that it computes for one example, with the tokens that it computes it for."""

import reprlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nli_core.config import PackConfig
from nli_core.data.examples.encode import Texts, encode_texts
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.data.tokenize.trial import check_vocabulary
from nli_core.errors import UserError
from nli_core.inference.predictor import check_inputs
from nli_core.model.encoder import EncoderOutputs
from nli_core.model.saved import is_fine_tuned, load_classifier, read_inputs, read_pack_config
from nli_core.model.weights import load_encoder

_MOST_TOKENS = 512


@dataclass(frozen=True)
class Inspected:
    """The ids and tokens [L] of an example, special ones included, and the encoder's outputs for a batch of it."""

    ids: list[int]
    tokens: list[str]
    outputs: EncoderOutputs

    def attention(self, layer: int | None = None, head: int | None = None) -> Tensor:
        """Return attention weights [L, L] of a layer and head, from 1; by default of the last layer, mean over heads.

        Raises:
            UserError: there is no such layer or head.
        """
        layers = self.outputs.attentions
        layer = len(layers) if layer is None else layer
        if not 1 <= layer <= len(layers):
            raise UserError(f"layer {layer}: this encoder has layers 1 to {len(layers)}")
        heads = layers[layer - 1][0]
        if head is None:
            return heads.mean(dim=0)
        if not 1 <= head <= len(heads):
            raise UserError(f"head {head}: this encoder has heads 1 to {len(heads)}")
        return heads[head - 1]


class Inspector:
    """An encoder in fp32 on the CPU with its tokenizer."""

    def __init__(self, folder: str | Path) -> None:
        """Load a fine-tuned model's folder, or a pretrained encoder's.

        Raises:
            UserError: a file is missing or damaged.
        """
        folder = Path(folder)
        if is_fine_tuned(folder):
            self.encoder = load_classifier(folder).encoder
            self._config = read_pack_config(folder).model_copy(update={"long_texts": "truncate"})
            self._inputs: tuple[str, ...] | None = read_inputs(folder)
        else:
            self._inputs = None
            self.encoder = load_encoder(folder)[0].eval()
            self._config = PackConfig(max_length=min(self.encoder.architecture.max_position_embeddings, _MOST_TOKENS))
        self._tokenizer = Tokenizer(folder)
        check_vocabulary(self._tokenizer, self.encoder.architecture.vocab_size, folder)

    def inspect(self, premise: str, hypothesis: str | None = None) -> Inspected:
        """Run the encoder on one pair, or on one text.

        Raises:
            UserError: the model was fine-tuned on pairs and there is no hypothesis, or the other way round; or an
                output is NaN or infinite.
        """
        if self._inputs:
            check_inputs(self._inputs, pairs=hypothesis is not None)
        second = None if hypothesis is None else Texts.of([hypothesis])
        examples = encode_texts(self._tokenizer, Texts.of([premise]), second, self._config).examples
        batch = examples.batch(torch.arange(1).numpy())
        with torch.inference_mode():
            outputs = self.encoder.outputs(batch.input_ids, batch.token_type_ids, batch.lengths)
        if not bool(outputs.sequence.isfinite().all()):
            raise UserError(f"the model's outputs for {reprlib.repr(premise)} are NaN or infinite; train it again")
        return Inspected(examples.input_ids.tolist(), self._tokenizer.tokens(examples.input_ids), outputs)
