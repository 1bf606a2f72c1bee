import pytest
import torch

from nli_core.model.dropout import applied_rate, dropout

RATE = 0.1


def test_it_keeps_the_expectation_and_drops_at_the_applied_rate() -> None:
    torch.manual_seed(0)
    values = torch.ones(1000, 1003)
    dropped = dropout(values, RATE)
    rate = applied_rate(RATE, values.device)
    deviation = (rate * (1 - rate) / values.numel()) ** 0.5
    assert float((dropped == 0).float().mean()) == pytest.approx(rate, abs=4 * deviation)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=4 * deviation / (1 - rate))
    assert rate == pytest.approx(RATE, abs=1 / 512)


def test_gradients_pass_where_values_passed() -> None:
    torch.manual_seed(0)
    values = torch.ones(50, requires_grad=True)
    dropped = dropout(values, 0.5)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())


def test_the_mask_is_a_function_of_the_seed() -> None:
    masks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        masks.append(dropout(torch.ones(1000), RATE))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_it_does_nothing_at_rate_zero() -> None:
    values = torch.randn(10)
    assert dropout(values, 0.0) is values
