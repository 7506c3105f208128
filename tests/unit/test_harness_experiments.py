"""The points of the experiments."""

from __future__ import annotations

import pytest

from harness.experiments import (
    PROFILES,
    Mode,
    Point,
    Profile,
    alone_split,
    beside,
    gpu_environment,
    number_of_points,
)

SMOKE, QUICK = PROFILES["smoke"], PROFILES["quick"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_every_number_of_cpu_vms_is_measured_in_every_mode(profile: Profile) -> None:
    points = beside(profile)
    for n in profile.cpu_vms:
        assert {p.mode for p in points if p.cpu_vms == n} == set(Mode)


def test_profiles_measure_what_they_promise() -> None:
    assert SMOKE.cpu_vms == (1, 2)
    assert QUICK.cpu_vms == (1, 2, 3, 4)
    assert SMOKE.gpu_scale < QUICK.gpu_scale


def test_each_number_of_groups_is_measured_alone_once() -> None:
    assert alone_split([6, 4, 6]) == [
        Point(0, Mode.GPUSPLIT, groups=4),
        Point(0, Mode.GPUSPLIT, groups=6),
    ]


def test_labels_tell_points_apart() -> None:
    points = [*beside(QUICK), *alone_split([4, 6]), Point(0, Mode.UNSPLIT)]
    assert len({point.label for point in points}) == len(points)


def test_number_of_points() -> None:
    assert number_of_points(SMOKE) == 1 + 8 + 2


class TestGpuEnvironment:
    def test_the_emulated_driver_spins_but_where_a_point_says_so(self) -> None:
        spins = gpu_environment(Point(1, Mode.UNSPLIT), SMOKE)
        blocks = gpu_environment(Point(1, Mode.UNSPLIT, blocking_driver=True), SMOKE)
        assert spins | {"EMUGPU_WAIT": "interrupt"} == blocks
        assert spins["EMUGPU_WAIT"] == "spin"

    def test_unsplit_waits_as_the_driver_does(self) -> None:
        environment = gpu_environment(Point(2, Mode.UNSPLIT), SMOKE)
        assert environment["GPUSPLIT_POLICY"] == "unsplit"
        assert environment["GPUSPLIT_WAIT"] == "driver"

    def test_split_goes_by_the_number_of_vms(self) -> None:
        environment = gpu_environment(Point(2, Mode.GPUSPLIT), SMOKE)
        assert environment["GPUSPLIT_POLICY"] == "vms"
        assert environment["GPUSPLIT_ALPHA"] == str(SMOKE.alpha)
        assert environment["GPUSPLIT_WAIT"] == "cooperative"

    def test_alone_the_number_of_groups_is_fixed(self) -> None:
        environment = gpu_environment(Point(0, Mode.GPUSPLIT, groups=6), SMOKE)
        assert environment["GPUSPLIT_POLICY"] == "fixed"
        assert environment["GPUSPLIT_GROUPS"] == "6"
        assert environment["GPUSPLIT_WAIT"] == "cooperative"

    def test_the_gpus_time_is_scaled(self) -> None:
        assert gpu_environment(Point(0, Mode.UNSPLIT), SMOKE)["EMUGPU_SCALE"] == "0.12"

    def test_there_is_none_without_a_gpu_job(self) -> None:
        with pytest.raises(ValueError, match="no GPU job"):
            gpu_environment(Point(1, Mode.NO_GPU), SMOKE)
