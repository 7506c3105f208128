"""The verdicts, one test for each claim; its id begins with the experiment it belongs to.

`pytest harness/ -k fig2` shows those of one experiment, of the whole profile measured;
`pytest harness/ --experiment fig2` measures only what they need.
"""

from __future__ import annotations

import pytest

from harness.judge.claims import Outcome, Verdict


def test_claim(verdict: Verdict) -> None:
    if verdict.outcome is not Outcome.PASS:
        # A traceback of this line would say nothing that the reason does not.
        pytest.fail(f"does not hold: {verdict.claim.text}: {verdict.reason}", pytrace=False)
