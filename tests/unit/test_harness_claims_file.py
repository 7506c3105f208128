"""claims.toml: what a table may say, and what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.judge.claims import load_claims
from harness.plan.experiments import experiments
from harness.plan.profiles import PROFILES, Profile
from harness.plan.schedule import TIMELINE

SMOKE = PROFILES["smoke"]


class TestTheFile:
    TABLE = (
        '[[claim]]\nid = "x"\nexperiment = "e"\nfigure = "f"\nkind = "ours"\nper = "run"\n'
        'statistic = "gpu_number_error"\ntext = "t"\nsource = "s"\nbecause = "b"\n'
    )

    def test_limits_may_differ_by_lab(self, tmp_path: Path) -> None:
        file = tmp_path / "claims.toml"
        file.write_text(self.TABLE + "at_most = {dryrun = 0.5, local = 0.7}\n")
        limits = [
            [claim.limit for claim in load_claims(SMOKE, lab, file)]
            for lab in ("dryrun", "local", "bench")
        ]
        assert limits == [[0.5], [0.7], []]

    def test_a_claim_that_claims_nothing_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "claims.toml"
        file.write_text(self.TABLE)
        with pytest.raises(ValueError, match="one of at_least and at_most"):
            load_claims(SMOKE, "dryrun", file)

    @pytest.mark.parametrize("because", ["", 'because = " "\n'])
    def test_a_limit_without_a_reason_is_refused(self, tmp_path: Path, because: str) -> None:
        file = tmp_path / "claims.toml"
        table = self.TABLE.replace('because = "b"\n', because)
        file.write_text(f"{table}at_most = 1\n")
        with pytest.raises(ValueError, match=r"because|say why the limit is where it is"):
            load_claims(SMOKE, "dryrun", file)

    @pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
    def test_every_experiment_of_a_claim_is_there(self, profile: Profile) -> None:
        claimed = {claim.experiment for claim in load_claims(profile, "dryrun")}
        assert claimed <= {experiment.id for experiment in experiments(profile)} | {
            "checks",
            TIMELINE,
        }
