"""A fine-tuned model that answers raw text: what is served."""

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from nli_core.arrays import Floats
from nli_core.data.examples.encode import Texts, encode_texts
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.data.tokenize.trial import check_vocabulary
from nli_core.errors import UserError
from nli_core.inference.replicas import Replicas
from nli_core.model.device import Precision, choose_devices
from nli_core.model.saved import load_classifier, read_answers, read_inputs, read_pack_config

Window = Sequence[Sequence[str]]
"""Texts that are predicted at a time: premises and hypotheses, or single texts alone."""


class Predictor:
    """Label probabilities for premise/hypothesis pairs, or for single texts."""

    def __init__(self, folder: Path, tokenizer: type[Tokenizer] = Tokenizer, *, precision: Precision = "auto") -> None:
        """Load the folder that `save_classifier` wrote; for many texts, `FastTokenizer` is the faster one."""
        model = load_classifier(folder)
        self._tokenizer = tokenizer(folder)
        check_vocabulary(self._tokenizer, model.encoder.architecture.vocab_size, folder)
        self.replicas = Replicas(model, choose_devices(precision))
        self._pack = read_pack_config(folder)
        self.answers = read_answers(folder)
        self.labels = self.replicas.labels
        self.inputs = read_inputs(folder)
        self.precision: str = self.replicas.precision

    def windows(self, windows: Iterable[Window]) -> Iterator[Floats]:
        """Compute the probabilities of each window, in their order.

        Raises:
            UserError: as `probabilities`.
        """
        return (self.probabilities(*window) for window in windows)

    def probabilities(self, premises: Sequence[str], hypotheses: Sequence[str] | None = None) -> Floats:
        """Compute probabilities [texts, labels], with columns in the order of `labels`, calibrated if the model is.

        Those of a multi-label model are each of one label, and do not sum to 1.

        Raises:
            UserError: the model is for pairs and there are no hypotheses, or the other way round; or an output is
                NaN or infinite.
        """
        check_inputs(self.inputs, pairs=hypotheses is not None)
        second = None if hypotheses is None else Texts.of(hypotheses)
        encoded = encode_texts(self._tokenizer, Texts.of(premises), second, self._pack)
        logits = self.replicas.logits(encoded.examples)
        probabilities = self.answers.probabilities(logits.double().numpy())
        faulty = ~np.isfinite(probabilities).all(axis=1)
        if faulty.any():
            text = reprlib.repr(premises[int(faulty.argmax())])
            raise UserError(f"the model's outputs for {text} are NaN or infinite; train it again")
        return probabilities

    def answer(self, texts: Sequence[Sequence[str]]) -> list[str]:
        """Return the answer to each example, which is given by its texts."""
        probabilities = self.probabilities(*map(list, zip(*texts, strict=True)))
        return self.answers.texts(self.answers.chosen(probabilities))


def check_inputs(inputs: Sequence[str], *, pairs: bool) -> None:
    """Look whether a model with these inputs takes pairs, or single texts.

    Raises:
        UserError: it takes the other.
    """
    if pairs != (len(inputs) == 2):
        takes = "single texts: leave out the hypothesis" if pairs else "pairs: give a hypothesis too"
        raise UserError(f"the model is for {takes}")
