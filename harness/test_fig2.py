"""Fig. 2 of the paper: what a GPU VM costs the CPU VMs beside it."""

from __future__ import annotations

import pytest

from harness.claims import Outcome, Verdict

EXPERIMENTS = ("fig2",)


def test_claim(verdict: Verdict) -> None:
    if verdict.outcome is not Outcome.PASS:
        # A traceback of this line would say nothing that the reason does not.
        pytest.fail(f"does not hold: {verdict.claim.text}: {verdict.reason}", pytrace=False)
