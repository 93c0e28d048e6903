"""Energy: counters in a folder like powercap's, wrap-around, what cannot be read, estimates."""

from __future__ import annotations

import pytest

from pellucid.train import energy
from pellucid.train.energy import SHORTEST, WATTS, EnergyMeter, counters, estimated

RANGE = 262_143_328_850


@pytest.fixture
def powercap(tmp_path):
    """A machine with two processors, as Linux shows it."""
    zones = {
        "intel-rapl": None,  # the kind of control, no zone
        "intel-rapl:0": ("package-0", 1_000_000),
        "intel-rapl:0:0": ("core", 400_000),
        "intel-rapl:0:1": ("dram", 50_000),
        "intel-rapl:1": ("package-1", 2_000_000),
        "intel-rapl:2": ("psys", 9_000_000),
        "intel-rapl-mmio:0": ("package-0", 1_000_000),
        "dtpm": None,
    }
    for zone, content in zones.items():
        (tmp_path / zone).mkdir()
        if content is not None:
            (tmp_path / zone / "name").write_text(f"{content[0]}\n")
            (tmp_path / zone / "energy_uj").write_text(f"{content[1]}\n")
            (tmp_path / zone / "max_energy_range_uj").write_text(f"{RANGE}\n")

    def move(**by: int) -> None:
        for name, microjoules in by.items():
            for zone in tmp_path.glob("intel-rapl*:*"):
                if (zone / "name").read_text().strip() == name.replace("_", "-"):
                    file = zone / "energy_uj"
                    file.write_text(f"{(int(file.read_text()) + microjoules) % RANGE}\n")

    move.folder = tmp_path
    return move


def test_whole_processors_and_their_memory_are_added_up(powercap):
    assert [c.name for c in counters(powercap.folder)] == ["package-0", "dram", "package-1"]
    meter = EnergyMeter(powercap.folder)
    powercap(package_0=3_000_000, core=2_000_000, dram=500_000, package_1=1_500_000, psys=7_000_000)
    found = meter.total(seconds=2.0, cpu_seconds=3.0)
    assert found.low == found.high == pytest.approx(3.0 + 0.5 + 1.5)
    assert found.method == (
        "read from powercap (package-0, dram, package-1): all that ran meanwhile"
    )


def test_a_counter_that_wraps_around(powercap):
    powercap(package_0=RANGE - 2_000_000)  # just below its range
    meter = EnergyMeter(powercap.folder)
    powercap(package_0=5_000_000)
    assert int((powercap.folder / "intel-rapl:0" / "energy_uj").read_text()) < 10_000_000
    assert meter.total(seconds=2.0, cpu_seconds=3.0).low == pytest.approx(5.0)


def test_looking_often_enough_catches_every_wrap(powercap, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(energy.time, "perf_counter", lambda: now[0])
    meter = EnergyMeter(powercap.folder)
    for _ in range(5):  # more than one range in all
        powercap(package_1=RANGE // 2)
        now[0] += 60.0
        meter.look()
    meter.look()  # not due: nothing is read
    powercap(package_1=7_000_000)
    found = meter.total(seconds=300.0, cpu_seconds=1.0)
    assert found.low == pytest.approx((5 * (RANGE // 2) + 7_000_000) * 1e-6)


def test_without_counters_it_is_estimated(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        assert counters(folder) == []
        found = EnergyMeter(folder).total(seconds=2.0, cpu_seconds=3.0)
        assert (found.low, found.high) == (3.0 * WATTS[0], 3.0 * WATTS[1])
        assert found.method == "estimated: processor time at 3 to 15 W a busy core"
        assert found == estimated(3.0)


@pytest.mark.parametrize("damage", ["energy_uj", "max_energy_range_uj", "name"])
def test_one_that_cannot_be_read_means_none(powercap, damage):
    (powercap.folder / "intel-rapl:1" / damage).unlink()
    assert counters(powercap.folder) == []


def test_one_that_ceases_to_be_readable_is_no_measurement(powercap):
    meter = EnergyMeter(powercap.folder)
    powercap(package_0=3_000_000)
    (powercap.folder / "intel-rapl:1" / "energy_uj").write_text("none")
    assert meter.total(seconds=2.0, cpu_seconds=3.0) == estimated(3.0)


def test_a_very_short_run_is_estimated(powercap):
    meter = EnergyMeter(powercap.folder)
    powercap(package_0=3_000_000)
    assert meter.total(seconds=SHORTEST / 2, cpu_seconds=0.01) == estimated(0.01)
