"""The points of the experiments."""

from __future__ import annotations

import pytest

from gpusplit.config import Config
from harness.plan.experiments import (
    ALONE,
    Mode,
    Point,
    adaptive,
    alone_split,
    driver_environment,
    experiments,
    gpusplit_options,
    rounds,
)
from harness.plan.profiles import PROFILES, Profile

SMOKE, QUICK, FULL = (PROFILES[name] for name in ("smoke", "quick", "full"))

every_profile = pytest.mark.parametrize(
    "profile", PROFILES.values(), ids=lambda profile: profile.name
)


def points_of(profile: Profile, experiment_id: str) -> tuple[Point, ...]:
    return next(e.points for e in experiments(profile) if e.id == experiment_id)


class TestExperiments:
    @pytest.mark.parametrize("profile", [QUICK, FULL], ids=["quick", "full"])
    def test_quick_and_full_hold_all_of_the_papers_and_the_ablation(self, profile: Profile) -> None:
        found = [experiment.id for experiment in experiments(profile)]
        assert found == [
            "fig2",
            "fig4",
            "fig5",
            "fig6",
            "g500",
            "ablation",
            "adaptive",
            "checks",
            "conditions",
        ]

    def test_smoke_holds_a_few(self) -> None:
        found = [e.id for e in experiments(SMOKE)]
        assert found == ["fig2", "fig6", "ablation", "adaptive", "checks"]
        assert SMOKE.most_cpu_vms == 2

    def test_fig2_compares_with_one_cpu_vm_more(self) -> None:
        points = points_of(FULL, "fig2")
        for n in (1, 2, 3, 4):
            assert {Point(n, Mode.UNSPLIT), Point(n + 1, Mode.NO_GPU)} <= set(points)
        assert FULL.most_cpu_vms == QUICK.most_cpu_vms == 5

    def test_fig4_and_fig5_take_the_papers_groups_in_its_mode_and_in_ours(self) -> None:
        for mode in (Mode.PAPER, Mode.GPUSPLIT):
            for n in (1, 2, 3, 4):
                taken = [
                    p.groups for p in points_of(FULL, "fig4") if (p.cpu_vms, p.mode) == (n, mode)
                ]
                assert taken == [2, 4, 10, 20]
            alone = [p.groups for p in points_of(FULL, "fig5") if (p.cpu_vms, p.mode) == (0, mode)]
            assert alone == [2, 4, 10, 20]

    @every_profile
    def test_the_ablation_has_all_four(self, profile: Profile) -> None:
        for n in profile.ablation_vms:
            modes = {p.mode for p in points_of(profile, "ablation") if p.cpu_vms == n}
            assert modes == set(Mode) - {Mode.NO_GPU}

    @every_profile
    def test_the_policy_adaptive_stands_beside_every_alpha(self, profile: Profile) -> None:
        for n in profile.adaptive_vms:
            points = [p for p in points_of(profile, "adaptive") if p.cpu_vms == n]
            assert Point(n, Mode.UNSPLIT) in points
            assert {p.alpha for p in points if p.alpha is not None} == set(profile.alphas)
            assert [p for p in points if p.adaptive] == [adaptive(n)]
            assert gpusplit_options(adaptive(n))["policy"] == "adaptive"

    def test_full_has_the_papers_sizes(self) -> None:
        assert (FULL.gpu_size, FULL.gpu_launches, FULL.gpu_scale) == (5120, 4, 1.0)
        assert FULL.cpu_size == 1600

    @every_profile
    def test_the_alpha_that_is_not_searched_for_is_among_those_tried(
        self, profile: Profile
    ) -> None:
        assert profile.alpha in profile.alphas


class TestRounds:
    @every_profile
    def test_a_round_takes_a_point_once_however_many_experiments_want_it(
        self, profile: Profile
    ) -> None:
        for taken in rounds(profile):
            assert len(taken) == len(set(taken))
        wanted = {point for experiment in experiments(profile) for point in experiment.points}
        assert set(rounds(profile)[0]) == wanted

    @every_profile
    def test_the_gpu_job_alone_comes_first(self, profile: Profile) -> None:
        assert rounds(profile)[0][0] == ALONE

    def test_what_fig6_shows_is_repeated_as_often_as_the_profile_asks(self) -> None:
        profile = Profile("p", (1,), 1.0, fig6_repetitions=3, fig2_vms=(1,), alphas=(2, 5))
        best = {(1, Mode.GPUSPLIT): 5, (1, Mode.PAPER): 2}
        first, second, third = rounds(profile, best)
        assert Point(2, Mode.NO_GPU) in first
        shown = {Point(1, Mode.NO_GPU), Point(1, Mode.UNSPLIT)}
        shown |= {Point(1, Mode.GPUSPLIT, alpha=5), Point(1, Mode.PAPER, alpha=2)}
        assert set(second) == set(third) == shown

    def test_where_time_is_real_every_point_is_repeated(self) -> None:
        assert SMOKE.for_lab("dryrun", "deterministic") == SMOKE
        first, second, third = rounds(SMOKE.for_lab("bench", "real"))
        assert set(first) == set(second) == set(third)
        assert len(rounds(SMOKE.for_lab("bench", "real", wanted=5))) == 5

    def test_a_first_taste_is_measured_once(self) -> None:
        assert len(rounds(PROFILES["demo"].for_lab("local", "real"))) == 2

    def test_a_real_driver_is_not_told_to_block(self) -> None:
        assert SMOKE.blocking_driver
        assert not SMOKE.for_lab("local", "real").blocking_driver

    def test_the_order_of_modes_turns_from_round_to_round(self) -> None:
        profile = Profile("p", (1,), 1.0, least_repetitions=2)
        first, second = rounds(profile)
        assert first[1:] != second[1:]
        assert set(first) == set(second)

    def test_the_unsplit_point_is_repeated_where_the_check_wants_it(self) -> None:
        assert rounds(SMOKE)[1:] == [[Point(1, Mode.UNSPLIT)]]


class TestPoint:
    @every_profile
    def test_labels_tell_points_apart(self, profile: Profile) -> None:
        points = [*rounds(profile)[0], *alone_split([3, 6])]
        assert len({point.label for point in points}) == len(points)

    def test_a_label_says_it_all(self) -> None:
        assert Point(2, Mode.PAPER, groups=10).label == "n2-paper-10groups"
        assert Point(3, Mode.GPUSPLIT, alpha=5).label == "n3-gpusplit-alpha5"
        assert Point(1, Mode.UNSPLIT, blocking_driver=True).label == "n1-unsplit-blocking"

    @pytest.mark.parametrize(
        "fields",
        [{}, {"groups": 2, "alpha": 2}],
    )
    def test_a_split_is_said_in_one_way(self, fields: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="do not fit"):
            Point(1, Mode.GPUSPLIT, **fields)  # type: ignore[arg-type]

    def test_what_is_not_split_has_no_groups(self) -> None:
        with pytest.raises(ValueError, match="do not fit"):
            Point(1, Mode.UNSPLIT, groups=2)


def test_each_number_of_groups_is_measured_alone_once() -> None:
    assert alone_split([6, 4, 6]) == [
        Point(0, Mode.GPUSPLIT, groups=4),
        Point(0, Mode.GPUSPLIT, groups=6),
    ]


class TestHowTheGpuJobRuns:
    def test_the_emulated_driver_spins_but_where_a_point_says_so(self) -> None:
        spins = driver_environment(Point(1, Mode.UNSPLIT), SMOKE)
        blocks = driver_environment(Point(1, Mode.UNSPLIT, blocking_driver=True), SMOKE)
        assert spins | {"EMUGPU_WAIT": "interrupt"} == blocks
        assert spins["EMUGPU_WAIT"] == "spin"
        assert spins["EMUGPU_SCALE"] == "0.12"

    def test_the_modes_are_splitting_waiting_and_groups_in_flight_each_with_and_without(
        self,
    ) -> None:
        made = {
            mode: gpusplit_options(Point(1, mode, alpha=2 if mode.splits else None))
            for mode in Mode
            if mode is not Mode.NO_GPU
        }
        configs = {mode: Config().with_options(o, "test") for mode, o in made.items()}

        def several_in_flight(config: Config) -> bool:
            # Unasked there are several, but with the driver's waits.
            return config.in_flight > 1 or (not config.in_flight and config.cooperative)

        assert {
            mode: (c.policy, c.wait, several_in_flight(c) if mode.splits else None)
            for mode, c in configs.items()
        } == {
            Mode.UNSPLIT: ("unsplit", "driver", None),
            Mode.UNSPLIT_COOPERATIVE: ("unsplit", "cooperative", None),
            Mode.PAPER: ("vms", "driver", False),
            Mode.PAPER_AHEAD: ("vms", "driver", True),
            Mode.GPUSPLIT_SINGLE: ("vms", "cooperative", False),
            Mode.GPUSPLIT: ("vms", "cooperative", True),
        }

    def test_a_fixed_number_of_groups(self) -> None:
        options = gpusplit_options(Point(0, Mode.GPUSPLIT, groups=6))
        assert options == {"policy": "fixed", "groups": 6, "wait": "cooperative"}

    def test_there_is_none_without_a_gpu_job(self) -> None:
        with pytest.raises(ValueError, match="no GPU job"):
            gpusplit_options(Point(1, Mode.NO_GPU))
