"""Which evaluation on dev is the best one, and when there are no more."""

from torch import Tensor
from torch.nn import functional

from nli_core.config import FinetuneConfig
from nli_core.training.checkpoint import Position


def dev_metrics(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Compute the metrics that choose a model, of logits [dev, labels] for their targets.

    In a multi-label corpus an answer is the labels above one half, and right if these are all that apply.
    """
    if targets.ndim == 1:
        return {
            "dev/loss": float(functional.cross_entropy(logits, targets)),
            "dev/accuracy": float((logits.argmax(dim=1) == targets).double().mean()),
        }
    answers = logits > 0
    hits, answered, true = (int(each.sum()) for each in (answers & targets, answers, targets))
    return {
        "dev/loss": float(functional.binary_cross_entropy_with_logits(logits, targets.float())),
        "dev/accuracy": float((answers == targets).all(dim=1).double().mean()),
        "dev/micro_f1": 2 * hits / max(answered + true, 1),
    }


def note_evaluation(position: Position, dev: dict[str, float], epochs: float, config: FinetuneConfig) -> bool:
    """Note the metrics on dev after so many epochs; return whether they are the best so far."""
    improved = _is_better(dev, position.best_dev, config)
    if improved:
        position.best_epoch, position.best_dev = epochs, dev
    position.waited = 0 if improved else position.waited + 1
    return improved


def has_waited_enough(position: Position, config: FinetuneConfig) -> bool:
    """Return whether as many evaluations as the config's patience were no better than the best."""
    return config.patience is not None and position.waited >= config.patience


def _is_better(dev: dict[str, float], best: dict[str, float], config: FinetuneConfig) -> bool:
    if not best:
        return True
    if config.best_by == "loss":
        return dev["dev/loss"] < best["dev/loss"]
    name = f"dev/{config.best_by}"
    return dev[name] > best[name]
