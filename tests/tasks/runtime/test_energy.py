from pathlib import Path

from tasks.runtime.energy import EnergyMeter


def _package(folder: Path, number: str, microjoules: int) -> Path:
    package = folder / f"intel-rapl:{number}"
    package.mkdir(exist_ok=True)
    (package / "max_energy_range_uj").write_text("10000000\n")
    (package / "energy_uj").write_text(f"{microjoules}\n")
    return package


def test_joules_of_all_packages_are_added_though_a_counter_starts_again(tmp_path: Path) -> None:
    _package(tmp_path, "0", 1_000_000)
    _package(tmp_path, "1", 9_000_000)
    _package(tmp_path, "0:0", 5)  # a part of the first
    with EnergyMeter(tmp_path) as meter:
        _package(tmp_path, "0", 3_500_000)
        _package(tmp_path, "1", 500_000)  # 10 J is where it starts again
        assert meter.joules == 2.5 + 1.5
        _package(tmp_path, "0", 4_000_000)
    assert meter.joules == 4.5


def test_a_machine_that_tells_nothing_has_no_figure(tmp_path: Path) -> None:
    package = _package(tmp_path, "0", 1)
    (package / "energy_uj").unlink()
    with EnergyMeter(tmp_path) as meter:
        pass
    assert meter.joules is None


def test_a_counter_that_fails_meanwhile_adds_nothing(tmp_path: Path) -> None:
    lost = _package(tmp_path, "0", 0)
    _package(tmp_path, "1", 0)
    with EnergyMeter(tmp_path) as meter:
        (lost / "energy_uj").unlink()
        _package(tmp_path, "1", 2_000_000)
        assert meter.joules == 2.0
