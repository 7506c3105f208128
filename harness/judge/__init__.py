"""From raw samples to numbers, and from numbers to verdicts: pure arithmetic, no effects."""
