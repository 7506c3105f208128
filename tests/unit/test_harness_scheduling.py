"""Xen's scheduling, set on a standing lab and given back."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_fakes import World

from harness.errors import LabUnsuitable, NotReady
from harness.judge.evaluate import evaluate
from harness.lab import xen_scheduling
from harness.lab.xen_scheduling import parse_pool, parse_pools, parse_vcpus
from harness.measure.jobs import Jobs
from harness.measure.point import measure_point
from harness.plan.conditions import STANDARD, Condition, Scheduling
from harness.plan.experiments import Mode, Point
from harness.plan.profiles import PROFILES
from harness.plan.sharing import Sharing

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

    def test_of_pools(self) -> None:
        assert parse_pools(
            "Name               CPU list\nPool-0             0\ngpusplit  1,2\n"
        ) == {
            "Pool-0": "0",
            "gpusplit": "1,2",
        }

    def test_of_the_vcpus_that_a_domain_may_have_and_has(self) -> None:
        most, online = parse_vcpus((DATA / "xl-vcpu-list.txt").read_text())
        assert (most["cpu1"], online["cpu1"]) == (2, 1)
        assert (most["gpu1"], online["gpu1"]) == (1, 1)


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
        for number, cpus in enumerate(("all", ["1", "2"])):
            world = World(guest_cpus=cpus)
            with pytest.raises(LabUnsuitable, match="no CPUs of their own"):
                world.lab(tmp_path / f"lab{number}").schedule(CREDIT2)
            assert world.pool == "Pool-0"

    def test_that_a_killed_run_left_behind_is_tidied_up(self, tmp_path: Path) -> None:
        world = World()
        world.lab(tmp_path / "killed").schedule(CREDIT2)
        lab = world.lab(tmp_path / "next")
        # Which is asked first, before anything is prepared.
        assert lab.conditions()["slice_ms"] == "30"
        lab.prepare()
        assert (world.pool, world.scheduler) == ("Pool-0", "credit")
        assert world.pinned == set(world.names)


class TestFewerCpus:
    def test_are_a_pool_of_the_first_ones(self, tmp_path: Path) -> None:
        world = World(guest_cpus="1-3")
        lab = world.lab(tmp_path / "lab")
        assert lab.schedule(Scheduling(cpus=2)) == Scheduling(30, 1000, 256, 0, cpus=2)
        assert (world.pool, world.scheduler, world.pool_cpus) == ("gpusplit", "credit", "1,2")
        lab.schedule(Scheduling(cpus=1, scheduler="credit2"))
        assert (world.pool, world.scheduler, world.pool_cpus) == ("gpusplit", "credit2", "1")
        lab.release()
        assert world.pool == "Pool-0"
        assert world.pinned == set(world.names)  # to all three

    def test_more_than_there_are_are_refused_and_nothing_is_changed(self, tmp_path: Path) -> None:
        world = World(guest_cpus="1-2")
        with pytest.raises(LabUnsuitable, match="has 2 CPUs for its guests, and 3 are"):
            world.lab(tmp_path / "lab").schedule(Scheduling(cpus=3, vcpus=2))
        assert (world.pool, {vm.told for vm in world.vms.values()}) == ("Pool-0", {1})

    def test_that_a_killed_run_left_behind_are_tidied_up(self, tmp_path: Path) -> None:
        world = World(guest_cpus="1-2")
        world.lab(tmp_path / "killed").schedule(Scheduling(cpus=1))
        world.lab(tmp_path / "next").prepare()
        assert world.pool == "Pool-0"
        assert world.pinned == set(world.names)


class TestVcpus:
    def test_are_set_once_and_given_back(self, tmp_path: Path) -> None:
        world = World()
        lab = world.lab(tmp_path / "lab")
        for _ in range(2):
            found = lab.schedule(Scheduling(vcpus=2))
        assert found == Scheduling(30, 1000, 256, 0, vcpus=2)
        lab.arrange(world.names)
        assert {vm.vcpus for vm in world.vms.values()} == {2}
        said = [line for _, command in world.commands for line in command.split(" && ")]
        assert sorted(line for line in said if "vcpu-set" in line) == sorted(
            f"xl vcpu-set --ignore-host {name} 2" for name in world.names
        )
        lab.release()
        assert {vm.vcpus for vm in world.vms.values()} == {1}

    def test_a_paused_vm_has_them_when_it_runs_again(self, tmp_path: Path) -> None:
        world = World()
        lab = world.lab(tmp_path / "lab")
        lab.arrange(["cpu1"])
        lab.schedule(Scheduling(vcpus=2))
        lab.arrange(["cpu1", "gpu1"])
        assert [world.vms[name].vcpus for name in ("cpu1", "gpu1", "cpu2")] == [2, 2, 1]
        lab.schedule(Scheduling())
        lab.arrange(["cpu2"])
        assert world.vms["cpu2"].vcpus == 1
        lab.release()
        assert {vm.vcpus for vm in world.vms.values()} == {1}

    def test_nobody_waits_where_nothing_changed(self, tmp_path: Path) -> None:
        world = World()
        world.lab(tmp_path / "lab").arrange(world.names)
        assert not any("vcpu" in command for _, command in world.commands)

    def test_more_than_a_guest_was_made_for_are_refused(self, tmp_path: Path) -> None:
        world = World(most_vcpus=1)
        lab = world.lab(tmp_path / "lab")
        with pytest.raises(LabUnsuitable, match="can have 1 vCPUs, and is to run with 2") as told:
            lab.schedule(Scheduling(vcpus=2, scheduler="credit2"))
        assert "guest_max_vcpus" in told.value.remedy
        assert world.pool == "Pool-0"

    def test_a_guest_that_leaves_them_as_they_are_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(xen_scheduling, "COMMAND_TIMEOUT", 0.0)
        world = World(deaf={"cpu2"})
        lab = world.lab(tmp_path / "lab")
        lab.schedule(Scheduling(vcpus=2))
        lab.arrange(["cpu1"])
        with pytest.raises(NotReady, match="cpu2 was told to run with 2 vCPUs, and has 1"):
            lab.arrange(["cpu1", "cpu2"])

    def test_that_a_killed_run_left_behind_are_given_back(self, tmp_path: Path) -> None:
        world = World()
        killed = world.lab(tmp_path / "killed")
        killed.schedule(Scheduling(vcpus=3))
        killed.arrange(["cpu1"])
        world.lab(tmp_path / "next").prepare()
        assert {vm.vcpus for vm in world.vms.values()} == {1}

    def test_come_with_as_many_threads_of_the_cpu_job(self, tmp_path: Path) -> None:
        """Two vCPUs each: of five busy ones the GPU VM has one, and the limit says so."""
        world = World(cpu_vms=2)
        lab = world.lab(tmp_path / "lab")
        profile = PROFILES["smoke"]
        two = Condition(scheduling=Scheduling(vcpus=2))
        rates = []
        with Jobs(lab, profile) as jobs:
            jobs.prepare_lab()
            for condition in (STANDARD, two):
                for mode in (Mode.NO_GPU, Mode.UNSPLIT):
                    point = Point(2, mode, condition=condition)
                    samples = measure_point(lab, jobs, point, 1, profile, 5.0)
                    assert samples.sharing.vcpus == (1 if condition == STANDARD else 2)
                    result = evaluate(samples)
                    assert not result.problems
                    assert result.cpu_throughput
                    rates.append(result.cpu_throughput)
        assert rates[0] / rates[1] - 1 == pytest.approx(Sharing().limit(2), abs=0.01)
        assert rates[2] / rates[3] - 1 == pytest.approx(Sharing(vcpus=2).limit(2), abs=0.01)
        assert {vm.vcpus for vm in world.vms.values()} == {1}
