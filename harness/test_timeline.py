"""The GPU job follows the number of running VMs while it runs."""

from __future__ import annotations

import pytest

from harness.claims import Outcome, Verdict

EXPERIMENTS = ("timeline",)


def test_claim(verdict: Verdict) -> None:
    if verdict.outcome is not Outcome.PASS:
        # A traceback of this line would say nothing that the reason does not.
        pytest.fail(f"does not hold: {verdict.claim.text}: {verdict.reason}", pytrace=False)
