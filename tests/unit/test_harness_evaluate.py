"""From samples to numbers."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judge.evaluate import (
    NotCovered,
    cpu_seconds,
    evaluate,
    interpolate,
    throughput,
)
from harness.judge.repetitions import combine
from harness.judge.validity import accounting_disagreements
from harness.keep.environment import Machines, describe_environment
from harness.lab.samples import (
    ClockReading,
    CpuReport,
    CpuSample,
    GpuReport,
    Launch,
    PointSamples,
    tightest,
)
from harness.plan.conditions import Condition, Scheduling
from harness.plan.experiments import Mode, Point


class TestInterpolate:
    def test_between_samples_on_a_straight_line(self) -> None:
        assert interpolate([0, 10], [5, 25], 2.5) == 10

    def test_at_samples_exactly(self) -> None:
        assert [interpolate([0, 1, 3], [7, 8, 20], at) for at in (0, 1, 3)] == [7, 8, 20]

    @pytest.mark.parametrize("at", [-0.1, 10.1])
    def test_never_beyond_the_samples(self, at: float) -> None:
        with pytest.raises(NotCovered, match=r"cover \[0\.000, 10\.000\]"):
            interpolate([0, 10], [5, 25], at)

    def test_nothing_covers_nothing(self) -> None:
        with pytest.raises(NotCovered, match="nothing"):
            interpolate([], [], 1)


class TestThroughput:
    def test_counts_only_inside_the_window(self) -> None:
        slow_then_fast = [1, 2, 3, 4, 4.5, 5, 5.5, 6]
        assert throughput(slow_then_fast, 1, 4) == 1
        assert throughput(slow_then_fast, 4, 6) == 2

    def test_a_multiplication_across_an_edge_counts_in_part(self) -> None:
        # Of the four from 0 to 8, those that end at 2 and 8 lie half inside [1, 7].
        assert throughput([0, 2, 4, 6, 8], 1, 7) == pytest.approx(3 / 6)

    @given(
        st.lists(st.floats(0.001, 1), min_size=4, max_size=50),
        st.floats(0.05, 0.95),
    )
    def test_parts_add_up_to_the_whole(self, lengths: list[float], cut: float) -> None:
        ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
        start, end = ends[0], ends[-1]
        middle = start + cut * (end - start)
        parts = throughput(ends, start, middle) * (middle - start)
        parts += throughput(ends, middle, end) * (end - middle)
        assert parts == pytest.approx(len(ends) - 1)


class TestCpuSeconds:
    def test_is_the_difference_over_the_window(self) -> None:
        used = ((0, 1.0), (2, 2.0), (4, 6.0))
        samples = [CpuSample(time, {"dom0": 99.0, "cpu1": cpu}) for time, cpu in used]
        assert cpu_seconds(samples, "cpu1", 1, 3) == pytest.approx(4.0 - 1.5)

    def test_of_a_vm_that_vanished_is_unknown(self) -> None:
        seen = ((0, "cpu1", 1.0), (2, "cpu1", 2.0), (4, "cpu2", 0.0))
        samples = [CpuSample(time, {vm: cpu}) for time, vm, cpu in seen]
        with pytest.raises(NotCovered):
            cpu_seconds(samples, "cpu1", 1, 3)


class TestClockReading:
    def test_offset_is_against_the_middle_and_open_by_half_the_round_trip(self) -> None:
        clock = ClockReading("cpu1", before=10.0, reading=11.5, after=10.4)
        assert clock.offset == pytest.approx(1.3)
        assert clock.uncertainty == pytest.approx(0.2)

    def test_the_tightest_reading_of_each_vm_counts(self) -> None:
        wide, tight = ClockReading("cpu1", 1.0, 1.0, 2.0), ClockReading("cpu1", 3.0, 3.0, 3.1)
        other = ClockReading("gpu1", 1.0, 1.0, 4.0)
        assert tightest((wide, tight, other)) == {"cpu1": tight, "gpu1": other}
        assert tightest((tight, wide))["cpu1"] is tight


def launches(*groups: int) -> tuple[Launch, ...]:
    return tuple(Launch(10 + k, 11 + k, g, g, 2, "a reason") for k, g in enumerate(groups))


UNSPLIT = Point(1, Mode.UNSPLIT)

VMS = ("gpu1", "cpu0", "cpu1", "cpu2")

ACCOUNTING = tuple(
    CpuSample(9.0 + k / 2, dict.fromkeys(VMS, 5.0 + k / 4))  # half a CPU each
    for k in range(9)  # from 9 to 13
)


def samples(
    point: Point = UNSPLIT,
    groups: tuple[int, ...] = (1, 1),
    cpus: tuple[CpuReport, ...] | None = None,
    clocks: tuple[ClockReading, ...] | None = None,
    accounting: tuple[CpuSample, ...] = ACCOUNTING,
    after: dict[str, str] | None = None,
) -> PointSamples:
    """A point whose window is [10, 12]."""
    if cpus is None:
        cpus = tuple(CpuReport(f"cpu{n}", (9.0, 10.0, 11.0, 13.0)) for n in range(point.cpu_vms))
    if clocks is None:  # all guests on dom0's clock
        clocks = tuple(ClockReading(cpu.vm, 9.0, 9.01, 9.02) for cpu in cpus)
    gpu = None if point.mode is Mode.NO_GPU else GpuReport(10.0, 12.0, "GPU", {}, launches(*groups))
    before = dict.fromkeys(("gpu1", *(cpu.vm for cpu in cpus)), "domid 3")
    return PointSamples(
        point,
        1,
        "xen1",
        10.0,
        12.0,
        "gpu1",
        gpu,
        cpus,
        accounting,
        clocks,
        before,
        before if after is None else after,
        measured_in=1.0,
    )


class TestEnvironment:
    @pytest.mark.parametrize("first", [True, False])
    def test_the_driver_is_told_as_it_is_under_no_condition_of_its_own(self, first: bool) -> None:
        def told(condition: Condition) -> PointSamples:
            made = samples(Point(1, Mode.UNSPLIT, condition=condition))
            assert made.gpu is not None
            return dataclasses.replace(
                made, gpu=dataclasses.replace(made.gpu, versions={"driver": condition.wait})
            )

        both = [told(Condition()), told(Condition("interrupt"))]
        found = describe_environment("", Machines({}, {}), both if first else both[::-1])
        assert found.gpu_vm == {"device": "GPU", "driver": "spin"}


class TestEvaluate:
    def test_a_good_point(self) -> None:
        result = evaluate(samples())
        assert result.problems == ()
        assert result.groups == 1
        assert result.cpu_throughput == pytest.approx(1.5 / 2)
        assert result.gpu_seconds == 2.0
        assert result.gpu_vm_cpu_seconds == pytest.approx(1.0)

    def test_throughput_is_the_mean_over_the_vms(self) -> None:
        cpus = (
            CpuReport("cpu1", (9.0, 10.0, 11.0, 12.0)),
            CpuReport("cpu2", (9.0, 9.5, 10.0, 10.5, 11.0, 11.5, 12.0)),
        )
        result = evaluate(samples(Point(2, Mode.UNSPLIT), cpus=cpus))
        assert result.cpu_throughputs == {"cpu1": 1.0, "cpu2": 2.0}
        assert result.cpu_throughput == 1.5

    def test_without_gpu_job_there_are_no_gpu_numbers(self) -> None:
        whole = tuple(CpuSample(9.0 + k, {"gpu1": 5.0, "cpu0": 5.0 + k}) for k in range(5))
        result = evaluate(samples(Point(1, Mode.NO_GPU), accounting=whole))
        assert (result.groups, result.gpu_seconds, result.problems) == (None, None, ())

    def test_alone_there_is_no_throughput(self) -> None:
        result = evaluate(samples(Point(0, Mode.UNSPLIT)))
        assert (result.cpu_throughput, result.problems) == (None, ())

    @pytest.mark.parametrize(
        ("broken", "problem"),
        [
            (
                samples(cpus=(CpuReport("cpu1", (9.0, 10.0, 11.0)),)),
                "cpu1 did not compute during the whole window",
            ),
            (
                samples(cpus=(CpuReport("cpu1", (10.5, 11.0, 13.0)),)),
                "cpu1 did not compute during the whole window",
            ),
            (
                samples(Point(0, Mode.UNSPLIT), accounting=ACCOUNTING[:5]),
                "the accounting of gpu1 has a gap",
            ),
            (
                samples(accounting=(*ACCOUNTING[:3], *ACCOUNTING[6:])),
                "samples of the accounting are missing: none for 2.00 s",
            ),
            (
                samples(after={"gpu1": "domid 3", "cpu0": "domid 9"}),
                "cpu0 was restarted: it was domid 3 before and domid 9 after",
            ),
            (samples(after={"gpu1": "domid 3"}), "cpu0 was gone at the end"),
            (
                samples(
                    accounting=tuple(
                        CpuSample(s.time, s.cpu_seconds | {"gpu1": 5.0 + k * 0.2})
                        for k, s in enumerate(ACCOUNTING)
                    )
                ),
                "time was stolen: the VMs together had 90.0% of the CPUs",
            ),
            (
                samples(clocks=(ClockReading("cpu0", 9.0, 9.1, 9.2),)),
                "the clock of cpu0 is known only to within 0.100 s",
            ),
            (samples(groups=(1, 4)), "the number of groups changed"),
            (samples(groups=(4, 4)), "the unsplit GPU job was split into 4 groups"),
            (samples(Point(1, Mode.GPUSPLIT, alpha=2), groups=(1, 1)), "was not split: a reason"),
            (
                samples(Point(2, Mode.GPUSPLIT, alpha=2), groups=(4, 4)),
                "3 VMs were running, gpusplit counted",
            ),
            (
                samples(Point(0, Mode.GPUSPLIT, groups=6), groups=(5, 5)),
                "6 groups were to be asked for, 5 were",
            ),
        ],
    )
    def test_what_cannot_be_trusted_says_why(self, broken: PointSamples, problem: str) -> None:
        assert len(evaluate(broken).problems) == 1
        assert problem in evaluate(broken).problems[0]

    def test_a_guests_times_are_put_on_dom0s_clock(self) -> None:
        cpus = (CpuReport("cpu1", (109.0, 110.0, 110.5, 111.0, 111.5, 112.0, 113.0)),)
        clocks = (ClockReading("cpu1", 9.0, 109.01, 9.02),)
        result = evaluate(samples(cpus=cpus, clocks=clocks))
        assert result.problems == ()
        assert result.cpu_throughput == pytest.approx(2.0)

    def test_an_incident_is_the_whole_story(self) -> None:
        failed = PointSamples.failed(UNSPLIT, 1, "xen1", "gpu1", "cpu0 was lost", 3.0)
        assert evaluate(failed).problems == ("cpu0 was lost",)

    def test_work_is_counted_by_cpu_time_too(self) -> None:
        """Half a CPU, 0.75 multiplications per second: 1.5 for a second of CPU time."""
        assert evaluate(samples()).work_rates == {"cpu0": pytest.approx(1.5)}

    def test_parts_make_a_multiplication(self) -> None:
        cpus = (CpuReport("cpu0", (9.0, 10.0, 11.0, 12.0), parts=4),)
        assert evaluate(samples(cpus=cpus)).cpu_throughput == pytest.approx(0.25)


class TestAccountingDisagreements:
    def test_a_vm_that_does_more_or_less_by_cpu_time_than_elsewhere(self) -> None:
        good = evaluate(samples())
        less = dataclasses.replace(good, work_rates={"cpu0": 0.965 * 1.5})
        nearly = dataclasses.replace(good, work_rates={"cpu0": 0.975 * 1.5})
        found = accounting_disagreements([good, less, nearly, good, good])
        assert found.keys() == {1}
        assert "time was stolen" in found[1][0]

    def test_one_point_alone_says_nothing(self) -> None:
        assert accounting_disagreements([evaluate(samples())]) == {}

    @pytest.mark.parametrize(
        ("mode", "other"),
        [
            (Mode.NO_GPU, Condition(scheduling=Scheduling(scheduler="credit2"))),
            (Mode.UNSPLIT, Condition(scheduling=Scheduling(scheduler="credit2"))),
            (Mode.UNSPLIT, Condition("poll", poll_period_us=1000, poll_cost_us=50)),
        ],
    )
    def test_a_scheduler_and_a_driver_that_wakes_up_have_their_own_rate(
        self, mode: Mode, other: Condition
    ) -> None:
        usual = evaluate(samples())
        point = dataclasses.replace(usual.point, mode=mode, condition=other)
        slower = dataclasses.replace(usual, point=point, work_rates={"cpu0": 0.93 * 1.5})
        assert accounting_disagreements([usual, usual, usual, slower, slower]) == {}

    def test_under_a_driver_that_wakes_up_only_the_same_point_is_alike(self) -> None:
        """Cut short, its waits end before it begins to look: it wakes up less, and so Xen does."""
        usual = evaluate(samples())
        wakes = Condition("interrupt-then-poll", 0.1, poll_period_us=1000, poll_cost_us=50)
        whole = dataclasses.replace(usual.point, mode=Mode.UNSPLIT, condition=wakes)
        cut = dataclasses.replace(usual.point, mode=Mode.PAPER, groups=20, condition=wakes)
        slow = dataclasses.replace(usual, point=whole, work_rates={"cpu0": 0.9 * 1.5})
        quick = dataclasses.replace(usual, point=cut, work_rates={"cpu0": 1.5})
        assert accounting_disagreements([slow, slow, quick, quick]) == {}
        stolen = dataclasses.replace(slow, work_rates={"cpu0": 0.8 * 1.5})
        assert accounting_disagreements([slow, slow, slow, stolen, quick]).keys() == {3}

    def test_on_real_cpus_the_work_for_a_second_of_them_is_a_result_of_each_point(self) -> None:
        """A GPU job that spins leaves its neighbours other caches than one that sleeps."""
        spins = dataclasses.replace(evaluate(samples()), real_cpus=True)
        point = dataclasses.replace(spins.point, mode=Mode.UNSPLIT_COOPERATIVE)
        sleeps = dataclasses.replace(spins, point=point, work_rates={"cpu0": 1.15 * 1.5})
        assert accounting_disagreements([spins, spins, spins, sleeps, sleeps]) == {}
        stolen = dataclasses.replace(spins, work_rates={"cpu0": 0.8 * 1.5})
        assert accounting_disagreements([spins, spins, stolen, sleeps]).keys() == {2}
        assert {point.work_rate for point in combine([spins, sleeps])} == {1.5, 1.15 * 1.5}

    def test_a_driver_that_sleeps_has_the_usual_one(self) -> None:
        usual = evaluate(samples())
        point = dataclasses.replace(usual.point, condition=Condition("interrupt"))
        slower = dataclasses.replace(usual, point=point, work_rates={"cpu0": 0.93 * 1.5})
        assert accounting_disagreements([usual, usual, usual, slower]).keys() == {3}

    def test_hosts_are_not_compared(self) -> None:
        good = evaluate(samples())
        other = dataclasses.replace(good, host="xen2", work_rates={"cpu0": 3.0})
        assert accounting_disagreements([good, good, other, other]) == {}
