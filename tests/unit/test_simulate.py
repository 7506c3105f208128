"""The simulated machine, Xen's schedulers on it, and the drivers' waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusplit.planning import Claim, fair_shares
from gpusplit.simulate.credit import BOOST, UNDER, Credit
from gpusplit.simulate.credit2 import Credit2
from gpusplit.simulate.driver import Driver, wait_cooperatively, wait_until
from gpusplit.simulate.host import SCHEDULERS, GpuJob, Guests, Sched, simulate
from gpusplit.simulate.machine import (
    MS,
    NEVER,
    SECOND,
    Action,
    Compute,
    Cpu,
    Machine,
    Scheduler,
    SleepUntil,
    SpinUntil,
    Vcpu,
)


def hog() -> Iterator[Action]:
    yield SpinUntil(NEVER)


def machine_of(scheduler: Scheduler, cpus: int, *vcpus: Vcpu, seed: int = 0) -> Machine:
    return Machine([Cpu(i) for i in range(cpus)], list(vcpus), scheduler, seed)


def vcpu(name: str, program: Iterator[Action], weight: int = 256, cpus: int = 1) -> Vcpu:
    return Vcpu(name, program, weight, tuple(range(cpus)))


def run_for(machine: Machine, ns: int) -> None:
    """Let exactly so much time pass, and account it."""
    machine.at(ns, lambda _: None)
    machine.run(lambda: machine.now >= ns)
    for cpu in machine.cpus:
        machine.charge(cpu)


def make(name: str) -> Scheduler:
    return Sched(name).make()


@pytest.mark.parametrize("name", SCHEDULERS)
class TestBothSchedulers:
    @given(
        cpus=st.integers(1, 4),
        naps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=0, max_size=4),
        hogs=st.integers(0, 6),
        seed=st.integers(0, 100),
    )
    @settings(max_examples=40, deadline=None)
    def test_cpu_time_is_neither_lost_nor_made(
        self, name: str, cpus: int, naps: list[tuple[int, int]], hogs: int, seed: int
    ) -> None:
        """Nobody runs twice at a time, and no CPU idles while somebody wants it."""

        def worker(busy: int, idle: int) -> Iterator[Action]:
            at = 0
            while True:
                yield Compute(busy * MS)
                at += (idle + 1) * MS
                yield SleepUntil(at)

        vcpus = [vcpu(f"w{i}", worker(*nap), cpus=cpus) for i, nap in enumerate(naps)]
        vcpus += [vcpu(f"h{i}", hog(), cpus=cpus) for i in range(hogs)]
        machine = machine_of(make(name), cpus, *vcpus, seed=seed)
        run_for(machine, SECOND)
        used = sum(v.used for v in vcpus)
        assert used <= cpus * SECOND
        assert all(v.used <= SECOND for v in vcpus)
        if hogs >= cpus:
            assert used == cpus * SECOND

    def test_shares_go_by_weight(self, name: str) -> None:
        weights = (128, 256, 512)
        vcpus = [vcpu(f"v{w}", hog(), w) for w in weights]
        run_for(machine_of(make(name), 1, *vcpus), 30 * SECOND)
        for v, weight in zip(vcpus, weights, strict=True):
            assert v.used / 30 / SECOND == pytest.approx(weight / sum(weights), rel=0.03)

    def test_equal_vcpus_get_equal_shares_of_several_cpus(self, name: str) -> None:
        vcpus = [vcpu(f"v{i}", hog(), cpus=3) for i in range(7)]
        run_for(machine_of(make(name), 3, *vcpus), 30 * SECOND)
        for v in vcpus:
            assert v.used / 30 / SECOND == pytest.approx(3 / 7, rel=0.05)

    def test_a_run_is_a_function_of_its_seed(self, name: str) -> None:
        def once(seed: int) -> object:
            return simulate(Guests(cpu_vms=3), Sched(name), Driver(), GpuJob((0.2,) * 5), seed)

        assert once(1) == once(1)
        assert once(1) != once(2)

    def test_who_sleeps_mostly_is_let_in_at_once(self, name: str) -> None:
        """But for the rate limit, which holds for whoever runs: 1 ms."""
        late: list[int] = []

        def sleeper() -> Iterator[Action]:
            for due in range(100 * MS, 5 * SECOND, 97 * MS):
                yield SleepUntil(due)
                yield Compute(1)
                late.append(machine.now - due)

        machine = machine_of(
            make(name), 1, vcpu("s", sleeper()), *(vcpu(f"h{i}", hog()) for i in range(4))
        )
        run_for(machine, 5 * SECOND)
        assert len(late) > 45
        assert max(late) <= MS + 1

    def test_the_papers_topology(self, name: str) -> None:
        """8 CPUs, 4 CPU VMs of 4 virtual CPUs, and one thread that spins: one of 17 claims."""
        shares = fair_shares(8, [Claim(1.0)] * 17)
        found = simulate(
            Guests(pcpus=8, cpu_vms=4, vcpus=4), Sched(name), Driver(), GpuJob((2.0,) * 4), 0
        )
        assert found.gpu_vm == pytest.approx(shares[0], rel=0.05)
        assert found.cpu_vms == pytest.approx(sum(shares[1:]), rel=0.05)

    def test_four_threads_that_spin_take_four_claims(self, name: str) -> None:
        found = simulate(
            Guests(pcpus=8, cpu_vms=4, vcpus=4, threads=4),
            Sched(name), Driver(), GpuJob((4.0,) * 4), 0,
        )  # fmt: skip
        assert found.gpu_vm == pytest.approx(8 * 4 / 20, rel=0.05)


class TestCredit:
    def test_only_who_wakes_up_is_boosted(self) -> None:
        """A hog and a virtual CPU that was never asleep are never found BOOST; the sleeper is."""
        found: dict[str, set[int]] = {"hog": set(), "sleeper": set()}

        def sleeper() -> Iterator[Action]:
            for due in range(MS, SECOND, 20 * MS):
                yield SleepUntil(due)
                found["sleeper"].add(machine.vcpus[0].of_scheduler.priority)
                yield Compute(MS // 2)

        machine = machine_of(Credit(), 1, vcpu("s", sleeper()), vcpu("h", hog()))

        def look(_: object) -> None:
            found["hog"].add(machine.vcpus[1].of_scheduler.priority)

        machine.every(MS, look)
        run_for(machine, SECOND)
        assert BOOST not in found["hog"]
        woken = machine_of(Credit(), 1, vcpu("s", iter((SleepUntil(5 * MS), Compute(2)))))
        woken.run(lambda: woken.now >= 5 * MS)
        assert woken.vcpus[0].of_scheduler.priority == BOOST

    def test_a_tick_takes_the_boost_from_who_runs(self) -> None:
        machine = machine_of(Credit(), 1, vcpu("s", iter((SleepUntil(5 * MS), SpinUntil(NEVER)))))
        seen: list[int] = []
        for ms in range(5, 31):
            look = lambda _: seen.append(machine.vcpus[0].of_scheduler.priority)  # noqa: E731
            machine.at(ms * MS + 1, look)
        run_for(machine, 31 * MS)
        assert seen[0] == BOOST
        assert seen[10] == seen[-1] == UNDER

    def test_without_the_boost_who_wakes_up_waits_for_its_turn(self) -> None:
        def late_by(boosts: bool) -> int:
            late: list[int] = []

            def sleeper() -> Iterator[Action]:
                for due in range(200 * MS, 5 * SECOND, 97 * MS):
                    yield SleepUntil(due)
                    yield Compute(1)
                    late.append(machine.now - due)

            machine = machine_of(
                Credit(boosts=boosts), 1, vcpu("s", sleeper()),
                *(vcpu(f"h{i}", hog()) for i in range(4)),
            )  # fmt: skip
            run_for(machine, 5 * SECOND)
            return max(late)

        assert late_by(True) <= MS + 1
        assert late_by(False) > 30 * MS

    def test_the_time_slice_is_how_long_a_turn_lasts(self) -> None:
        for slice_ms in (5, 30):
            switches: list[int] = []
            machine = machine_of(Credit(slice_ms * MS), 1, *(vcpu(f"h{i}", hog()) for i in "ab"))

            def look(_: object, seen: list[int] = switches, of: Machine = machine) -> None:
                seen.append(of.cpus[0].since)

            machine.every(MS, look)
            run_for(machine, SECOND)
            turns = len(set(switches))
            assert turns == pytest.approx(1000 / slice_ms, rel=0.1)

    def test_a_capped_vm_gets_no_more_even_of_an_idle_cpu(self) -> None:
        capped = Vcpu("c", hog(), 256, (0,), cap=0.25)
        run_for(machine_of(Credit(), 1, capped), 20 * SECOND)
        assert capped.used / 20 / SECOND == pytest.approx(0.25, rel=0.1)


def test_credit2_shares_a_socket_but_not_between_sockets() -> None:
    """3 virtual CPUs on two sockets of one CPU: two share, one has its own."""
    vcpus = [vcpu(f"v{i}", hog(), cpus=2) for i in range(3)]
    run_for(machine_of(Credit2(socket_cpus=1), 2, *vcpus), 10 * SECOND)
    assert sorted(round(v.used / 10 / SECOND, 1) for v in vcpus) == [0.5, 0.5, 1.0]


class TestDrivers:
    """One wait of 1 s, alone on a CPU: CPU time used, and when it is over."""

    @pytest.mark.parametrize(
        ("driver", "used", "over"),
        [
            (Driver("spin"), 1.0, 1.0),
            (Driver("yield"), 1.0, 1.0),
            (Driver("interrupt"), 0.0, 1.0),
            (Driver("interrupt", wake_cpu=0.01), 0.01, 1.01),
            (Driver("poll", poll_period=0.09, poll_cost=0.01), 0.1, 1.0),
            (Driver("poll", poll_period=0.3, poll_cost=0.01), 0.04, 1.24),
            (Driver("tick", tick=0.3), 0.0, 1.2),
            (Driver("interrupt-then-spin", then_after=0.75), 0.25, 1.0),
            (Driver("interrupt-then-spin", then_after=2), 0.0, 1.0),
            (Driver("interrupt-then-spin", then_after=0), 1.0, 1.0),
            (Driver("spin-then-interrupt", then_after=0.25), 0.25, 1.0),
            (
                Driver("interrupt-then-poll", then_after=0.5, poll_period=0.09, poll_cost=0.01),
                0.05,
                1.0,
            ),
        ],
    )
    def test_waits(self, driver: Driver, used: float, over: float) -> None:
        machine = machine_of(Credit(), 1)
        ended: list[int] = []

        def program() -> Iterator[Action]:
            yield from wait_until(SECOND, driver, lambda: machine.now)
            ended.append(machine.now)

        machine.vcpus.append(vcpu("g", program()))
        run_for(machine, 2 * SECOND)
        assert ended[0] / SECOND == pytest.approx(over, abs=1e-6)
        assert machine.vcpus[0].used / SECOND == pytest.approx(used, abs=1e-6)

    def test_the_cooperative_wait_is_there_at_the_end(self) -> None:
        machine = machine_of(Credit(), 1)
        machine.vcpus.append(vcpu("g", wait_cooperatively(SECOND, 0.02, lambda: machine.now), 256))
        run_for(machine, 2 * SECOND)
        assert machine.vcpus[0].used / SECOND == pytest.approx(0.02, rel=0.02)

    @pytest.mark.parametrize(
        "bad",
        [
            {"wait": "sometimes"},
            {"wait": "spin-then-"},
            {"wait": "spin-then-poll-then-tick"},
            {"wait": "poll", "poll_period": 0},
            {"wait": "interrupt-then-tick", "tick": 0},
        ],
    )
    def test_a_driver_that_makes_no_sense_is_refused(self, bad: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"none of|must be above 0"):
            Driver(**bad)  # type: ignore[arg-type]


def test_groups_in_flight_are_one_long_wait() -> None:
    """Ten groups of 0.3 s, and a driver that spins after 1 s: each by itself never does."""
    driver = Driver("interrupt-then-spin", then_after=1.0)
    by_itself, in_flight = (
        simulate(Guests(), Sched(), driver, GpuJob((0.3,) * 10, 1, flight), 0)
        for flight in (False, True)
    )
    assert by_itself.gpu_vm < 0.01
    assert in_flight.gpu_vm == pytest.approx(0.5 * 2 / 3, abs=0.02)
