"""Fig. 5 of the paper: fixed numbers of groups, and the GPU job."""

from __future__ import annotations

import pytest

from harness.claims import Outcome, Verdict

EXPERIMENTS = ("fig5",)


def test_claim(verdict: Verdict) -> None:
    if verdict.outcome is not Outcome.PASS:
        # A traceback of this line would say nothing that the reason does not.
        pytest.fail(f"does not hold: {verdict.claim.text}: {verdict.reason}", pytrace=False)
