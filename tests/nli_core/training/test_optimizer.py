import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nli_core.config import FinetuneConfig
from nli_core.training.optimizer import build_optimizer, learning_rate

RESUMED = """
import contextlib, sys
from pathlib import Path

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.config import FinetuneConfig
from nli_core.training.finetune import finetune

shards, encoder, out = map(Path, sys.argv[1:])
asked = iter([False])
callbacks = TrainingCallbacks(should_stop=lambda: next(asked, True))
config = FinetuneConfig(epochs=1, max_steps=2)
with contextlib.suppress(StoppedError):
    finetune(shards, encoder, config, out=out, callbacks=callbacks)
facts = finetune(shards, encoder, config, out=out)
print("resumed at step", facts["resumed_at_step"])
print({"torch._dynamo", "sympy"} & sys.modules.keys())
"""


def _rates(total: int = 100, **fields: object) -> list[float]:
    config = FinetuneConfig(**{"learning_rate": 1.0, **fields})
    return [learning_rate(step, total, config) for step in range(total)]


def test_the_rate_warms_up_and_falls_to_almost_zero() -> None:
    rates = _rates(schedule="linear", warmup_fraction=0.1)
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10] == max(rates) == 1.0
    assert rates[-1] == pytest.approx(1 / 90)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))


def test_a_constant_rate_stays() -> None:
    assert set(_rates(schedule="constant", warmup_fraction=0)) == {1.0}


def test_biases_norms_and_frozen_weights_do_not_decay() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
    model[2].requires_grad_(False)
    decaying, plain = build_optimizer(model, 2, FinetuneConfig(weight_decay=0.1)).param_groups
    assert (decaying["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert [parameter is model[0].weight for parameter in decaying["params"]] == [True]
    assert len(plain["params"]) == 3


def test_without_decay_it_is_adam_at_a_mean_or_summed_loss() -> None:
    """Adam divides the gradient by its own size: a factor of the loss cancels, but for epsilon and clipping."""
    config = FinetuneConfig(weight_decay=0, learning_rate=1e-3)
    torch.manual_seed(0)
    inputs, targets = torch.randn(8, 4), torch.randn(8, 1)
    models = [torch.nn.Linear(4, 1) for _ in range(3)]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    optimizers: list[torch.optim.Optimizer] = [build_optimizer(model, 2, config) for model in models[:2]]
    optimizers.append(torch.optim.Adam(models[2].parameters(), lr=1e-3))
    for _ in range(20):
        for model, optimizer, factor in zip(models, optimizers, (1, len(inputs), 1), strict=True):
            optimizer.zero_grad()
            (torch.nn.functional.mse_loss(model(inputs), targets) * factor).backward()
            optimizer.step()
    for other in models[1:]:
        torch.testing.assert_close(models[0].weight, other.weight, atol=1e-6, rtol=0)


def test_it_steps_as_torchs_adamw_and_reads_its_state() -> None:
    config = FinetuneConfig(weight_decay=0.1, learning_rate=1e-2)
    torch.manual_seed(0)
    models = [torch.nn.Linear(4, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    ours, other = (build_optimizer(model, 2, config) for model in models)
    theirs = torch.optim.AdamW(other.param_groups, fused=True)
    for step in range(6):
        inputs = torch.randn(8, 4)
        for model, optimizer in zip(models, (ours, theirs), strict=True):
            model.zero_grad()
            model(inputs).square().sum().backward()
            optimizer.step()
        assert torch.equal(models[0].weight, models[1].weight)
        assert torch.equal(models[0].bias, models[1].bias)
        if step == 3:  # each continues from what the other has kept
            kept = ours.state_dict()
            ours.load_state_dict(theirs.state_dict())
            theirs.load_state_dict(kept)


def test_training_imports_no_compiler(tmp_path: Path, shards: Path, tiny_encoder: Path) -> None:
    """Nor does one that resumes. torch's own AdamW does, which takes nearly as long as the import of torch."""
    command = [sys.executable, "-c", RESUMED, str(shards), str(tiny_encoder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "resumed at step 1\nset()\n"
