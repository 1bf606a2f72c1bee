"""An encoder with a classifier head on its pooled first token."""

import torch
from torch import Tensor, nn

from nli_core.model.bert import Bert
from nli_core.model.dropout import dropout

INITIAL_DEVIATION = 0.02  # of the normal distribution that BERT's own weights begin with (Devlin et al., 2019)


class Classifier(nn.Module):
    """Dropout and one linear layer over `encoder.pooled`; only that layer starts from scratch."""

    def __init__(
        self, encoder: Bert, labels: tuple[str, ...], *, head_dropout: float = 0.0, frozen: bool = False
    ) -> None:
        """`labels` names the outputs in order; `frozen` keeps the encoder as it is, without dropout or gradients."""
        super().__init__()
        self.encoder = encoder
        self.labels = labels
        self.head_dropout = head_dropout
        self.frozen = frozen
        self.head = nn.Linear(encoder.architecture.hidden_size, len(labels))
        nn.init.normal_(self.head.weight, std=INITIAL_DEVIATION)
        nn.init.zeros_(self.head.bias)
        encoder.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> "Classifier":
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B, labels] for token ids [B, L] of which `lengths` [B] count."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            pooled = self.encoder.pooled(input_ids, token_type_ids, lengths)
        logits: Tensor = self.head(dropout(pooled, self.head_dropout, training=self.training))
        return logits
