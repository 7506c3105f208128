"""The policy adaptive on simulated hosts, and on the recorded launches of a dry run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import mean, median

import pytest
from adaptive_law import Adaptive, Phase, fit, ladder, law, stolen_seconds
from hypothesis import given, settings
from hypothesis import strategies as some
from simulated_host import KERNEL, WORK_ITEMS, Host, changes, slow_down

from gpusplit.config import Config, ConfigError

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    law()


#: Changes of the number of groups: in the first minute, and in the third minute.
FIRST_MINUTE, LATER_MINUTE = 36, 20


def spinning(groups: int) -> float:
    """A driver that spins: cutting frees nothing."""
    return 1.0


def sleeping(groups: int) -> float:
    """A wait that sleeps: there is nothing to free."""
    return 0.01 + 0.0005 * groups


def yielding(groups: int) -> float:
    """The paper's Fig. 4: the more groups the less, and 20 bring little more than 10."""
    return 0.2 + 0.8 / groups


# What it decides.


def test_alone_or_with_an_unknown_count_nothing_is_cut() -> None:
    for count, why in ((1, "this VM is alone"), (None, "the number of VMs is unknown")):
        decision = Host(yielding, vms=count).decide()
        assert (decision.groups, decision.reason) == (1, why)


def test_groups_that_free_cpu_are_kept() -> None:
    host = Host(yielding, group_cost=0.0001)
    ran = host.run(2)[-1]
    assert ran.groups >= 18
    decision = host.decide()
    assert "free" in decision.reason
    assert "% of a CPU" in decision.reason


def test_under_a_driver_that_spins_nothing_is_cut_for_long() -> None:
    host = Host(spinning, group_cost=0.001)
    assert host.run(2)[-1].groups == 1
    assert "freed" in host.policy.control.reason
    ran = host.run(600)
    assert mean(run.groups > 1 for run in ran) < 0.03
    assert slow_down(ran) < 0.001


def test_a_wait_that_sleeps_is_left_alone() -> None:
    host = Host(sleeping)
    assert {run.groups for run in host.run(120)} == {1}
    assert "none to give" in host.policy.control.reason


def test_without_contention_nothing_is_tried() -> None:
    host = Host(yielding, contended=False)
    assert {run.groups for run in host.run(120)} == {1}
    assert host.policy.control.reason == "nobody else wants the CPU"


def test_where_the_host_does_not_tell_the_count_is_enough() -> None:
    assert Host(yielding, tells=False).run(3)[-1].groups > 1


def test_the_budget_limits_the_groups() -> None:
    """5 ms of 100 are allowed, 4 are aimed at: four further groups at a millisecond each."""
    host = Host(yielding, group_cost=0.001)
    assert host.run(3)[-1].groups == 5
    decision = host.decide()
    assert decision.reason.endswith("5 here, for the budget")


def test_a_cut_that_costs_more_than_the_budget_is_given_up() -> None:
    host = Host(yielding, group_cost=0.03)
    host.run(5)
    assert {run.groups for run in host.run(3)} == {1}


def test_a_kernel_that_may_not_be_cut_ends_the_trial() -> None:
    host = Host(yielding)
    for _ in range(100):
        host.decide()
        host.now += 0.1
        host.cpu += 0.05
        host.stolen += 0.05
        host.policy.observe(KERNEL, WORK_ITEMS, 1, 0.1)
    assert host.policy.control.phase is Phase.UNSPLIT
    assert host.policy.control.reason == "no launch could be cut"


def test_a_kernel_unlike_the_others_has_groups_of_its_own() -> None:
    host = Host(yielding, group_cost=0.001)
    host.run(3)
    other = host.policy.decide(KERNEL + 1, 1000, 3)
    assert other.groups == 1, "never measured unsplit"


@pytest.mark.parametrize(
    ("current", "group_cost", "groups"), [(1, 0.001, 18), (18, 0.010, 5), (4, 0.010, 4)]
)
def test_what_a_group_costs_decides_how_many_fit(
    current: int, group_cost: float, groups: int
) -> None:
    """Of a kernel of 1 s, with a budget of 5 %; where it is little below that, nothing moves."""
    assert fit(current, 18, 1.0, group_cost, 0.05) == groups


# Within two seconds.


def test_a_change_of_the_vm_count_counts_at_the_next_launch() -> None:
    host = Host(yielding)
    host.run(3)
    host.vms = 1
    host.launch()
    assert host.ran[-1].groups == 1
    host.vms = 3
    host.launch()
    assert host.ran[-1].groups > 1, "where it was left"


@pytest.mark.parametrize("kernel", [0.005, 0.15, 0.2])
def test_when_contention_begins_it_is_cut_within_two_seconds(kernel: float) -> None:
    host = Host(yielding, contended=False, kernel=kernel)
    host.run(30)
    host.contended = True
    host.run(2 + kernel)
    assert host.ran[-1].groups > 1
    assert host.policy.control.phase is Phase.SPLIT


def test_when_contention_ends_it_is_whole_within_two_seconds() -> None:
    """The neighbours are seen while the launches are cut: the wait still wants a fifth of a CPU."""
    host = Host(yielding)
    host.run(3)
    host.contended = False
    host.run(2)
    assert host.ran[-1].groups == 1
    assert host.policy.control.reason == "nobody else wants the CPU"


def test_neighbours_that_a_split_hides_are_not_taken_for_gone() -> None:
    host = Host(lambda groups: 1.0 if groups == 1 else 0.02)
    ran = host.run(60)
    assert changes(ran) <= FIRST_MINUTE
    assert mean(run.groups > 1 for run in ran) > 0.9


def test_long_kernels_settle_in_seven_launches() -> None:
    host = Host(yielding, kernel=1.6)
    for _ in range(8):
        host.launch()
    assert host.policy.control.phase is Phase.SPLIT


def test_a_pause_of_the_program_is_no_measurement() -> None:
    host = Host(yielding)
    host.run(3)
    before = host.policy.control
    host.now += 3600
    host.launch()
    assert host.policy.control == before


def test_what_is_forgotten_is_found_out_anew() -> None:
    host = Host(yielding)
    host.run(3)
    host.policy.forget()
    host.launch()
    assert host.ran[-1].groups == 1
    assert host.run(2)[-1].groups > 1


# Whatever the host is like.

hosts = some.builds(
    Host,
    use=some.builds(
        lambda floor, power: lambda groups: floor + (1 - floor) / groups**power,
        some.floats(0, 1),
        some.floats(0, 2),
    ),
    group_cost=some.floats(0, 0.02).map(lambda part: 0.15 * part),
    kernel=some.just(0.15),
    budget=some.floats(0.02, 0.2),
    others=some.floats(0, 0.9),
    tells=some.booleans(),
    noise=some.floats(0, 0.03),
    seed=some.integers(0, 2**32),
)


@settings(deadline=None, max_examples=50)
@given(hosts)
def test_no_budget_is_exceeded_once_it_has_settled(host: Host) -> None:
    host.run(60)
    assert slow_down(host.run(60)) <= host.budget + host.noise / 10


@settings(deadline=None, max_examples=50)
@given(hosts)
def test_nothing_oscillates(host: Host) -> None:
    assert changes(host.run(60)) <= FIRST_MINUTE
    host.run(60)
    assert changes(host.run(60)) <= LATER_MINUTE


@settings(deadline=None, max_examples=50)
@given(hosts)
def test_the_neighbours_get_what_can_be_had(host: Host) -> None:
    """Without noise: no number of groups within the budget frees 5 % of a CPU more."""
    host.noise, host.tells = 0.0, False
    host.run(20)
    phase = host.policy.control.phase
    if phase not in (Phase.UNSPLIT, Phase.SPLIT):
        host.run(2)
    left = 1 - host.others
    kept = host.use(host.ran[-1].groups) * left
    within = [
        groups
        for groups in ladder()
        if (groups - 1) * host.group_cost <= 0.6 * host.budget * host.kernel
    ]
    best = min(within, key=host.use)
    worth = max(0.05, (best - 1) * host.group_cost / host.kernel)
    assert kept - host.use(best) * left <= worth + 1e-6


@settings(deadline=None, max_examples=50)
@given(hosts, some.lists(some.tuples(some.integers(1, 5), some.floats(0.1, 5)), max_size=20))
def test_vms_that_come_and_go_exceed_no_budget(host: Host, counts: list[tuple[int, float]]) -> None:
    for host.vms, seconds in counts:
        for ran in host.run(seconds):
            assert host.vms > 1 or ran.groups == 1
    host.vms = 3
    host.run(60)
    assert slow_down(host.run(30)) <= host.budget + host.noise / 10


# Over recorded launches.

Launches = dict[str, dict[str, list[tuple[float, float]]]]
RECORDED: dict[str, Launches] = json.loads(
    (Path(__file__).parents[1] / "data" / "dryrun-d8962ca-launches.json").read_text()
)


def replay(launches: dict[str, list[tuple[float, float]]], count: int, vms: int, wanted: float):
    """So many launches as they were recorded, in the recorded number of groups that is nearest.

    wanted: CPUs that the wait wants.  Returns [groups, seconds, CPUs used] of each.
    """
    now, cpu, stolen = 0.0, 0.0, 1.0
    policy = Adaptive(0.05, lambda: now, lambda: cpu, lambda: stolen)
    taken: dict[str, int] = {}
    rows = []
    for _ in range(count):
        groups = policy.decide(KERNEL, WORK_ITEMS, vms).groups
        name = min(launches, key=lambda name: abs(int(name) - groups))
        turn = taken[name] = taken.get(name, -1) + 1
        seconds, used = launches[name][turn % len(launches[name])]
        now += seconds
        cpu += used * seconds
        stolen += max(0.0, wanted - used) * seconds
        policy.observe(KERNEL, WORK_ITEMS, groups, seconds)
        rows.append((groups, seconds, used))
    return policy, rows


@pytest.mark.parametrize("n", RECORDED)
def test_recorded_spinning_waits_are_not_cut_for_long(n: str) -> None:
    """The driver's wait of a dry run: a cut costs up to 80 % there and frees nothing."""
    launches = RECORDED[n]["driver"]
    policy, rows = replay(launches, 400, int(n) + 1, wanted=1.0)
    assert policy.control.phase is Phase.UNSPLIT
    assert sum(groups > 1 for groups, _, _ in rows) <= 20
    unsplit = mean(seconds for seconds, _ in launches["1"])
    assert mean(seconds for _, seconds, _ in rows) <= 1.01 * unsplit


@pytest.mark.parametrize("n", RECORDED)
def test_recorded_cooperative_waits_are_as_good_as_with_the_best_fixed_groups(n: str) -> None:
    """On both axes: the GPU job's time and the CPU that is left to others."""
    launches = RECORDED[n]["cooperative"]
    _, rows = replay(launches, 400, int(n) + 1, wanted=0.1)
    # The median: the first launch of each recording knew nothing of its kernel.
    seconds = median(row[1] for row in rows)
    used = median(row[2] for row in rows)
    fixed = launches.values()
    assert seconds <= 1.002 * min(median(row[0] for row in rows) for rows in fixed)
    assert used <= 0.002 + min(median(row[1] for row in rows) for rows in fixed)


# What a guest can see.


def test_stolen_time_is_read_from_the_kernel(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 0 20 400 1 2 3 250 0 0\ncpu0 10 0 20 400 1 2 3 250 0 0\n")
    assert stolen_seconds(stat) == pytest.approx(2.5)


@pytest.mark.parametrize(
    "text", ["", "cpu 1 2 3\n", "cpu  a b c d e f g h\n", "cpu  1 0 2 4 1 2 3 0 0 0\n"]
)
def test_a_kernel_that_does_not_tell_is_unknown(tmp_path: Path, text: str) -> None:
    stat = tmp_path / "stat"
    stat.write_text(text)
    assert stolen_seconds(stat) is None
    assert stolen_seconds(tmp_path / "missing") is None


@pytest.mark.parametrize("budget", [0, -1, float("inf"), float("nan")])
def test_a_budget_must_make_sense(budget: float) -> None:
    with pytest.raises(ConfigError, match="budget must be"):
        Config(budget=budget)
