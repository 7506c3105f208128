"""A comparison of two runs, for a terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.compare import Comparison, Judgement, NumberChange
from harness.report.style import OUTCOMES

STYLES = {
    Judgement.OUTSIDE: "bold yellow",
    Judgement.DISAGREES: "bold red",
    Judgement.MISSING: "yellow",
    Judgement.INVALID: "yellow",
}

QUIET = (Judgement.WITHIN, Judgement.AGREES)
"""What is only counted, unless everything is asked for."""

UNITS = {
    "cpu_throughput": "CPU, multipl./s",
    "gpu_seconds": "GPU job, s",
    "gpu_vm_cpu_seconds": "GPU VM's CPU, s",
}


def print_comparison(
    console: Console, found: Comparison, names: tuple[str, str], *, everything: bool
) -> None:
    """Print what changed between two runs; everything that was compared, if asked for."""
    console.print(f"A: {names[0]}\nB: {names[1]}", markup=False, highlight=False)
    for difference in found.differences:
        console.print(f"They differ in {difference}", markup=False, highlight=False)
    for name, only in zip("AB", (found.only_a, found.only_b), strict=True):
        if only:
            console.print(
                f"Only in {name}, {len(only)} points: {', '.join(only)}",
                markup=False,
                highlight=False,
            )
    shown = [n for n in found.numbers if everything or n.judgement not in QUIET]
    if shown:
        console.print(_numbers_table(shown))
    counts = Counter(str(n.judgement) for n in found.numbers)
    if not found.numbers:
        console.print("No point is in both runs.")
    for judgement, count in counts.items():
        console.print(f"{judgement}: {count} of {len(found.numbers)} numbers")
    for source in dict.fromkeys(n.noise_from for n in found.numbers):
        console.print(f"Noise: {source}", markup=False, highlight=False)
    claims = [c for c in found.claims if everything or c.differs]
    if claims:
        table = Table("claim", "A", "B", title="Verdicts")
        for claim in claims:
            cells = (_verdict(claim.a, claim.value_a), _verdict(claim.b, claim.value_b))
            table.add_row(claim.claim, *cells, style="bold yellow" if claim.changed else "")
        console.print(table)
    judged = sum(c.a is not None and c.b is not None for c in found.claims)
    changed = sum(c.changed for c in found.claims)
    console.print(f"Verdicts that changed: {changed} of {judged} that both runs have")
    console.print(conclusion(found), style="bold")


def conclusion(found: Comparison) -> str:
    """Say whether the runs agree, in one sentence."""
    if found.tolerance is not None:
        verb = "agree" if found.alike else "do NOT agree"
        return f"The runs {verb} on every point within {found.tolerance:.3g} relative."
    if found.alike:
        return "Nothing changed beyond the noise that is known."
    return "Something changed beyond the noise."


def _numbers_table(numbers: list[NumberChange]) -> Table:
    table = Table(title="Numbers")
    for heading in ("point", "number"):
        table.add_column(heading, overflow="fold")
    for heading in ("A", "B", "B - A", "relative", "noise"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for n in numbers:
        table.add_row(
            n.point,
            UNITS[n.quantity],
            _cell(n.a, "#.5g"),
            _cell(n.b, "#.5g"),
            _cell(n.absolute, "+#.3g"),
            _cell(n.relative, "+z.2%"),
            _cell(n.noise, "#.3g"),
            Text(str(n.judgement), style=STYLES.get(n.judgement, "")),
        )
    return table


def _verdict(outcome: str | None, value: float | None) -> str:
    if outcome is None:
        return "not judged"
    return f"{OUTCOMES[outcome][1]}{'' if value is None else f' ({value:.4g})'}"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
