"""Files of a run for other programs: summary.csv and junit.xml."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

from harness.keep.summary import Summary
from harness.report.points import outcome_of

ELEMENTS = {
    "fail": "failure",
    "inconclusive": "skipped",
    "does_not_arise": "skipped",
    "invalid": "error",
    "not_reproduced": "skipped",
}
"""JUnit's name of every outcome that is not a pass."""

COLUMNS = (
    "point",
    "cpu_vms",
    "mode",
    "groups",
    "wanted",
    "alpha",
    "blocking_driver",
    "launches",
    "repetition",
    "host",
    "cpu_throughput",
    "gpu_seconds",
    "gpu_vm_cpu_seconds",
    "raw",
    "problems",
)


def csv_text(summary: Summary) -> str:
    """Return a row for each repetition of each point; units are those of summary.json."""
    file = io.StringIO()
    vms = sorted({vm for p in summary.points for s in p.samples for vm in s.cpu_throughputs})
    writer = csv.DictWriter(
        file, (*COLUMNS, *(f"cpu_throughput_{vm}" for vm in vms)), lineterminator="\n"
    )
    writer.writeheader()
    for point in summary.points:
        for sample in point.samples:
            writer.writerow(
                {
                    "point": point.label,
                    "cpu_vms": point.cpu_vms,
                    "mode": point.mode,
                    "groups": point.groups,
                    "wanted": point.wanted,
                    "alpha": point.alpha,
                    "blocking_driver": point.blocking_driver,
                    "launches": point.launches,
                    "repetition": sample.repetition,
                    "host": sample.host,
                    "cpu_throughput": sample.cpu_throughput,
                    "gpu_seconds": sample.gpu_seconds,
                    "gpu_vm_cpu_seconds": sample.gpu_vm_cpu_seconds,
                    "raw": sample.raw,
                    "problems": "; ".join(sample.problems),
                    **{f"cpu_throughput_{vm}": x for vm, x in sample.cpu_throughputs.items()},
                }
            )
    return file.getvalue()


def junit_xml(summary: Summary, run: str) -> str:
    """Return a test case for each claim.

    A claim without a verdict is an error and not a failure. One that is inconclusive, or the
    paper's and not reproduced, is skipped, as pytest has it; the type and the reason say which.
    """
    outcomes = [outcome_of(claim) for claim in summary.claims]
    elements = [ELEMENTS.get(outcome) for outcome in outcomes]
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": f"gpusplit {summary.lab} {summary.profile}",
            "tests": str(len(outcomes)),
            "failures": str(elements.count("failure")),
            "errors": str(elements.count("error")),
            "skipped": str(elements.count("skipped")),
            "timestamp": summary.started,
            "hostname": run,
        },
    )
    for claim in summary.claims:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": f"harness.{claim.experiment}", "name": claim.id, "time": "0"},
        )
        outcome = outcome_of(claim)
        if outcome in ELEMENTS:
            detail = {"type": outcome, "message": claim.reason}
            element = ElementTree.SubElement(case, ELEMENTS[outcome], detail)
            element.text = f"{claim.text} ({claim.source})"
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
