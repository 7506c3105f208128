"""Fig. 6 of the paper: groups chosen by the number of VMs, against unsplit and no GPU VM.

CPU VMs run faster beside a split GPU job, and the GPU job loses little. What must hold
stands in claims.toml, one test for each claim.
"""

from __future__ import annotations

from harness.claims import Outcome, Verdict


def test_claim(verdict: Verdict) -> None:
    assert verdict.outcome is Outcome.PASS, f"{verdict.claim.text}: {verdict.reason}"
