"""Where a model computes, and with which numbers."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from nli_core.errors import UserError, reason_of

Precision = Literal["auto", "fp32", "bf16"]
_FLASH_CAPABILITY = (8, 0)  # Ampere
_NOT_REPEATABLE = ("deterministic implementation", "CUBLAS_WORKSPACE_CONFIG")
_NO_MEMORY = ("can't allocate memory", "bad_alloc")  # torch's allocator on a CPU, and C++


@dataclass(frozen=True)
class Device:
    """A device, the precision of its matrix products, and why that was chosen.

    `deterministic` forbids a GPU what adds up in no fixed order, such as flash attention's way back.
    """

    torch: torch.device
    precision: Literal["fp32", "bf16"]
    reason: str
    deterministic: bool = False

    @property
    def packs(self) -> bool:
        """Whether packed batches are faster here than padded ones: where there is flash attention."""
        if self.torch.type != "cuda" or self.precision == "fp32" or self.deterministic:
            return False
        return torch.cuda.get_device_capability(self.torch) >= _FLASH_CAPABILITY

    @property
    def repeats(self) -> Literal["every byte", "but for rounding"]:
        """What a training repeats here: a CPU adds up in one order for one number of threads."""
        return "every byte" if self.torch.type == "cpu" or self.deterministic else "but for rounding"

    @contextlib.contextmanager
    def repeating(self) -> Iterator[None]:
        """Within the block, a deterministic GPU refuses what it cannot repeat.

        Raises:
            UserError: it refused something.
        """
        if self.torch.type == "cpu" or not self.deterministic:
            yield
            return
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its products are refused
        torch.use_deterministic_algorithms(True)
        try:
            yield
        except RuntimeError as error:
            if any(sign in str(error) for sign in _NOT_REPEATABLE):
                refused = f"finetune.deterministic: torch cannot repeat this ({reason_of(error)})"
                raise UserError(f"{refused}; set auto, or unset CUBLAS_WORKSPACE_CONFIG") from error
            raise
        finally:
            torch.use_deterministic_algorithms(False)

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Within the block, matrix products are computed in the chosen precision; weights stay fp32."""
        with torch.autocast(self.torch.type, torch.bfloat16, enabled=self.precision == "bf16"):
            yield


def choose_device(precision: Precision) -> Device:
    """Choose torch's current GPU, or else the CPU, and the precision that `auto` means on it."""
    gpus = torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if gpus else torch.device("cpu")
    if precision != "auto":
        return Device(device, precision, "as configured")
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device(device, "bf16" if fast else "fp32", torch.cuda.get_device_name(device))
    capabilities = torch.cpu.get_capabilities()
    for feature in ("amx_bf16", "avx512_bf16"):
        if capabilities.get(feature):
            return Device(device, "bf16", f"the CPU has {feature}")
    return Device(device, "fp32", "the CPU has neither amx_bf16 nor avx512_bf16")


def choose_devices(precision: Precision) -> list[Device]:
    """Choose every GPU that this process may use, or else the CPU, as `choose_device` does one."""
    first = choose_device(precision)
    if first.torch.type == "cpu":
        return [first]
    return [replace(first, torch=torch.device("cuda", index)) for index in range(torch.cuda.device_count())]


@contextlib.contextmanager
def memory_for(*, describe: Callable[[], str]) -> Iterator[None]:
    """Within the block a device, or a machine, without memory left becomes one line about the batch.

    `describe` names the batch and what to set; it is called only then.

    Raises:
        UserError: there was no memory left.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        named = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if named or any(sign in str(error) for sign in _NO_MEMORY):
            raise UserError(f"no memory is left for {describe()}") from error
        raise
