from dataclasses import replace

import pytest
import torch

from nli_core.errors import UserError
from nli_core.model.device import Device, choose_device

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


def test_a_deterministic_gpu_pads_and_refuses_what_it_cannot_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    gpu = Device(torch.device("cuda"), "bf16", "a test")
    assert gpu.repeats == "but for rounding"
    always = replace(gpu, deterministic=True)
    assert always.repeats == "every byte"
    assert not always.packs
    for device, refuses in ((gpu, False), (always, True), (choose_device("fp32"), False)):
        with device.repeating():
            assert torch.are_deterministic_algorithms_enabled() == refuses
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("cumsum_cuda_kernel does not have a deterministic implementation, but you set ..", UserError),
        ("Deterministic behavior was enabled, but .. set CUBLAS_WORKSPACE_CONFIG=:4096:8", UserError),
        ("CUDA error: device-side assert triggered", RuntimeError),
    ],
)
def test_what_cannot_be_repeated_is_a_users_error(
    monkeypatch: pytest.MonkeyPatch, message: str, error: type[Exception]
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    gpu = Device(torch.device("cuda"), "bf16", "a test", deterministic=True)
    expected = r"finetune\.deterministic: .*set auto" if error is UserError else message
    with pytest.raises(error, match=expected), gpu.repeating():
        raise RuntimeError(message)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_configured_is_used(precision: str) -> None:
    assert choose_device(precision).precision == precision
