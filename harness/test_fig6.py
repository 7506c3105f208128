"""Fig. 6 of the paper: groups chosen by the number of VMs, against unsplit and no GPU VM.

CPU VMs run faster beside a split GPU job, and the GPU job loses little. What must hold
stands in claims.toml, one test for each claim.
"""

from __future__ import annotations

import pytest

from harness.claims import Outcome, Verdict


def test_claim(verdict: Verdict) -> None:
    if verdict.outcome is not Outcome.PASS:
        # A traceback of this line would say nothing that the reason does not.
        pytest.fail(f"does not hold: {verdict.claim.text}: {verdict.reason}", pytrace=False)
