import os

import pytest
import torch

from flows.local.devices import allocate_devices
from nli_core.errors import UserError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine of 16 cores and no GPU."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    return monkeypatch


def test_a_run_has_a_cpu_to_itself_unless_more_are_asked_for(machine: pytest.MonkeyPatch) -> None:
    assert allocate_devices() == [{}]
    assert allocate_devices(3) == [{"NLI_PARALLEL_TRAININGS": "1", "OMP_NUM_THREADS": "5"}] * 3


def test_less_than_one_job_is_refused(machine: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="jobs: 0 is below 1"):
        allocate_devices(0)


def test_each_gpu_is_a_place_by_its_own_name(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.cuda, "device_count", lambda: 2)
    assert allocate_devices() == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    machine.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,5")
    assert allocate_devices() == [{"CUDA_VISIBLE_DEVICES": "GPU-a"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    assert allocate_devices(1) == [{"CUDA_VISIBLE_DEVICES": "GPU-a"}]
    shared = allocate_devices(3)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in shared] == ["GPU-a", "5", "GPU-a"]
    assert {slot["NLI_PARALLEL_TRAININGS"] for slot in shared} == {"1"}
