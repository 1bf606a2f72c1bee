import pytest
import torch

from nli_core.model.device import choose_device

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is chosen before any CPU")


@pytest.mark.parametrize(
    ("has", "precision", "reason"),
    [
        ({"amx_bf16", "avx512_bf16", "avx512_f"}, "bf16", "amx_bf16"),
        ({"avx512_bf16", "avx512_f"}, "bf16", "avx512_bf16"),
        ({"avx512_f"}, "fp32", "neither"),
        (set(), "fp32", "neither"),
    ],
)
def test_auto_is_what_the_cpu_is_fast_at(
    monkeypatch: pytest.MonkeyPatch, has: set[str], precision: str, reason: str
) -> None:
    """A CPU without instructions for bf16 would have to emulate it."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(has, True))
    device = choose_device("auto")
    assert device.precision == precision
    assert reason in device.reason
    assert not device.packs


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_configured_is_used(precision: str) -> None:
    assert choose_device(precision).precision == precision
