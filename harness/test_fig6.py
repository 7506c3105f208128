"""Fig. 6 of the paper: groups chosen by the number of VMs.

CPU VMs run faster beside a split GPU job, and the GPU job loses little.
"""

from __future__ import annotations

import pytest

from harness.claims import Outcome, Verdict

EXPERIMENTS = ("fig6",)


def test_claim(verdict: Verdict) -> None:
    if verdict.outcome is not Outcome.PASS:
        # A traceback of this line would say nothing that the reason does not.
        pytest.fail(f"does not hold: {verdict.claim.text}: {verdict.reason}", pytrace=False)
