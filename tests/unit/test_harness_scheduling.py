"""Xen's scheduling, set on a standing lab and given back."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_fakes import World

from harness.errors import LabUnsuitable
from harness.lab.xen_scheduling import parse_pinning, parse_pool, parse_pools
from harness.plan.conditions import Scheduling

DATA = Path(__file__).parents[1] / "data"

CREDIT2 = Scheduling(scheduler="credit2")


class TestWhatXlSays:
    def test_of_a_pool_under_credit(self) -> None:
        pool = parse_pool((DATA / "xl-sched-credit.txt").read_text())
        assert pool.scheduling("cpu1") == Scheduling(30, 1000, 512, 50)

    def test_of_a_pool_under_credit2_which_has_no_time_slice(self) -> None:
        said = "Cpupool gpusplit: ratelimit=1000us\nName  ID Weight  Cap\ngpu1   1    256    0\n"
        assert parse_pool(said).scheduling("gpu1", "credit2") == Scheduling(
            0, 1000, 256, 0, "credit2"
        )

    @pytest.mark.parametrize("said", ["", "no such scheduler", "Cpupool Pool-0: tslice=30ms"])
    def test_what_it_does_not_say_is_an_error(self, said: str) -> None:
        with pytest.raises(ValueError, match="xl said"):
            parse_pool(said)

    def test_of_pools_and_pinning(self) -> None:
        assert parse_pools(
            "Name               CPU list\nPool-0             0\ngpusplit  1,2\n"
        ) == {
            "Pool-0": "0",
            "gpusplit": "1,2",
        }
        said = (
            "Name         ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n"
            "gpu1          1     0    1   ---      26.3  1 / all\n"
            "cpu4          5     0    -   --p       0.0  1-2 / all\n"
        )
        assert parse_pinning(said) == {"gpu1": {"1"}, "cpu4": {"1-2"}}


class TestSettingXen:
    def test_a_lab_that_never_changed_is_asked_nothing(self, tmp_path: Path) -> None:
        world = World()
        assert world.lab(tmp_path / "lab").schedule(Scheduling()) is None
        assert not world.commands

    def test_it_is_set_read_back_and_restored(self, tmp_path: Path) -> None:
        world = World()
        lab = world.lab(tmp_path / "lab")
        found = lab.schedule(Scheduling(slice_ms=5, gpu_weight=512))
        assert found == Scheduling(5, 1000, 512, 0)
        assert (world.slice_ms, world.gpu_weight) == (5, 512)
        lab.release()
        assert (world.slice_ms, world.ratelimit_us, world.gpu_weight) == (30, 1000, 256)

    def test_no_rate_limit_is_not_the_usual_one(self, tmp_path: Path) -> None:
        world = World()
        world.lab(tmp_path / "lab").schedule(Scheduling(ratelimit_us=0))
        assert world.ratelimit_us == 0

    def test_what_is_so_already_is_not_set_again(self, tmp_path: Path) -> None:
        world = World()
        lab = world.lab(tmp_path / "lab")
        lab.schedule(CREDIT2)
        asked = len(world.commands)
        assert lab.schedule(CREDIT2) == Scheduling(0, 1000, 256, 0, "credit2")
        assert len(world.commands) == asked

    def test_a_scheduler_that_is_not_credit_is_told(self, tmp_path: Path) -> None:
        lab = World().lab(tmp_path / "lab")
        lab.xen.dom0.run = lambda *_: "sched_credit: not found"  # type: ignore[method-assign]
        with pytest.raises(LabUnsuitable, match="does not say how its scheduler credit is set"):
            lab.schedule(Scheduling(slice_ms=5))


class TestAnotherScheduler:
    def test_has_a_pool_with_all_guests_and_their_cpu(self, tmp_path: Path) -> None:
        world = World()
        found = world.lab(tmp_path / "lab").schedule(CREDIT2)
        assert found == Scheduling(0, 1000, 256, 0, "credit2")
        assert (world.pool, world.scheduler) == ("gpusplit", "credit2")
        moved = {command for _, line in world.commands for command in line.split(" && ")}
        assert {f"xl cpupool-migrate {name} gpusplit" for name in world.names} <= moved

    def test_is_given_back_with_pinning_and_weights(self, tmp_path: Path) -> None:
        world = World(gpu_weight=300)
        lab = world.lab(tmp_path / "lab")
        lab.schedule(CREDIT2)
        assert world.gpu_weight == 300
        assert not world.pinned
        lab.release()
        assert (world.pool, world.scheduler, world.gpu_weight) == ("Pool-0", "credit", 300)
        assert world.pinned == set(world.names)

    def test_follows_another_one(self, tmp_path: Path) -> None:
        world = World()
        lab = world.lab(tmp_path / "lab")
        lab.schedule(CREDIT2)
        found = lab.schedule(Scheduling(slice_ms=5, scheduler="credit"))
        assert found == Scheduling(5, 1000, 256, 0, "credit")
        assert (world.pool, world.scheduler) == ("gpusplit", "credit")

    def test_guests_without_cpus_of_their_own_are_told(self, tmp_path: Path) -> None:
        world = World()
        world.pinned.clear()
        with pytest.raises(LabUnsuitable, match="no CPUs of their own"):
            world.lab(tmp_path / "lab").schedule(CREDIT2)
        assert world.pool == "Pool-0"

    def test_that_a_killed_run_left_behind_is_tidied_up(self, tmp_path: Path) -> None:
        world = World()
        world.lab(tmp_path / "killed").schedule(CREDIT2)
        world.lab(tmp_path / "next").prepare()
        assert (world.pool, world.scheduler) == ("Pool-0", "credit")
        assert world.pinned == set(world.names)
