"""An encoder with a classifier head on its pooled first token."""

import torch
from torch import Tensor, nn

from nli_core.model.dropout import dropout
from nli_core.model.encoder import Encoder
from nli_core.model.families.registry import family_of


class Classifier(nn.Module):
    """Dropout and one linear layer over `encoder.pooled`; only that layer starts from scratch."""

    def __init__(
        self, encoder: Encoder, labels: tuple[str, ...], *, head_dropout: float = 0.0, frozen: bool = False
    ) -> None:
        """`labels` names the outputs in order; `frozen` keeps the encoder as it is, without dropout or gradients."""
        super().__init__()
        self.encoder = encoder
        self.labels = labels
        self.head_dropout = head_dropout
        self.frozen = frozen
        self.head = nn.Linear(encoder.architecture.pooled_size, len(labels))
        family_of(encoder.architecture).init_linear(self.head)
        encoder.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> "Classifier":
        """Set the mode; a frozen encoder stays in eval mode."""
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        """Compute logits [B, labels] for token ids [B, L], of which `lengths` [B] count, or packed ones [T]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            pooled = self.encoder.pooled(input_ids, token_type_ids, lengths, longest)
        return self.classify(pooled)

    def classify(self, pooled: Tensor) -> Tensor:
        """Compute logits [B, labels] from what the encoder pooled [B, P]."""
        logits: Tensor = self.head(dropout(pooled, self.head_dropout if self.training else 0.0))
        return logits
