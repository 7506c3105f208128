"""`pytest harness/`: measures the lab, then judges the claims, one test for each.

The measurement is one session fixture (`run`): it takes all points, with progress. Every
test then is one verdict. A verdict can be *invalid*: the measurement allows neither pass
nor fail. It is reported under a name of its own, with its reason, and the exit status is
not 0: who counts failures counts it, who reads sees that nothing was refuted. It can be
*inconclusive*: the limit lies within what the value may be; neither green nor a failure, and
noted at the end. It may *not arise*: what it presupposes was not found. A claim of the paper's that
does not hold under the paper's own method is *not reproduced*: a finding, under a name of its own
too, and no failure of this system.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from harness.errors import HarnessError
from harness.judge.claims import Claim, Kind, Outcome, Verdict, load_claims
from harness.keep.durations import earlier_durations
from harness.keep.manifest import Manifest, read_manifest
from harness.keep.results import LATEST, RunFolder
from harness.lab.lab import Lab
from harness.lab.opening import LABS, lab_folder_of, open_lab, own_programs
from harness.measure.progress import RunProgress
from harness.measure.run import Options, Run
from harness.plan.profiles import DEFAULT_PROFILE, PROFILES, Profile
from harness.plan.programs import Program, Programs, Work
from harness.report.outlook import outlook, outlook_lines
from harness.report.table import print_tables
from harness.whole_run import FinishedRun, run_experiment

ROOT = Path(__file__).resolve().parent.parent

USUAL_CLOCKS = {"dryrun": "deterministic", "bench": "real", "local": "real"}
"""The clock of each kind of lab, for who asks before one stands."""

CANNOT_MEASURE = 3
"""Exit status when nothing was measured; pytest itself uses 1 for failed tests, 2 for Ctrl-C."""

PLAIN: Any = {"markup": False, "highlight": False, "soft_wrap": True}
"""For console output that holds paths and messages: neither markup nor wrapping."""

INVALID = "invalid:"
"""Starts the message of a test whose claim has no verdict."""

NOT_REPRODUCED = "not reproduced:"
"""Starts the reason of a test whose claim is the paper's, and does not hold here."""

DOES_NOT_ARISE = "does not arise:"
"""Starts the reason of a test whose claim presupposes what was not found."""

INCONCLUSIVE = "inconclusive:"
"""Starts the reason of a test whose claim another measurement might turn."""

finished_run_key = pytest.StashKey[FinishedRun]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "the measurement")
    group.addoption(
        "--profile",
        choices=sorted(PROFILES),
        default=os.environ.get("PROFILE"),
        help="how much to measure (default: $PROFILE, of a run that goes on the one that it began "
        f"with, or else {DEFAULT_PROFILE})",
    )
    group.addoption(
        "--lab",
        choices=LABS,
        default="dryrun",
        help="where to measure: the emulated Xen host, a real one, or this machine without a "
        "hypervisor (default: %(default)s)",
    )
    group.addoption(
        "--results",
        type=Path,
        default=ROOT / "results",
        metavar="FOLDER",
        help="where to keep results (default: results/ in the checkout)",
    )
    group.addoption(
        "--lab-folder",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="where the playbooks wrote the lab down (default: .lab/ in the checkout); "
        "given more than once, the points are spread over several hosts",
    )
    group.addoption(
        "--inventory",
        type=Path,
        action="append",
        metavar="PATH",
        help="an Ansible inventory whose lab_dir says where the lab was written down, "
        "in place of --lab-folder",
    )
    group.addoption(
        "--resume",
        nargs="?",
        const=LATEST,
        metavar="RUN",
        help="go on with an interrupted run (a folder's name below results/; without one, the "
        "latest that has not ended) and measure only what it lacks",
    )
    group.addoption(
        "--point",
        action="append",
        default=[],
        metavar="LABEL",
        help="measure only this point, n2-unsplit say; may be given more than once",
    )
    group.addoption(
        "--experiment",
        action="append",
        default=[],
        metavar="NAME",
        help="measure only what this experiment judges, fig2 say; may be given more than once",
    )
    group.addoption(
        "--gpu-job",
        metavar="COMMAND",
        help="measure this program in the GPU VM, as one would type it there: plain, and under "
        "`gpusplit run`",
    )
    group.addoption(
        "--cpu-job",
        metavar="COMMAND",
        help="measure this program in the CPU VMs, in place of products of matrices",
    )
    for side in ("gpu", "cpu"):
        group.addoption(
            f"--{side}-work",
            choices=[str(work) for work in Work],
            default=str(Work.TIME),
            help=f"how the work of --{side}-job is counted: by the time that it takes until it "
            "ends, or by the lines that it prints where it runs on (default: %(default)s)",
        )
    group.addoption(
        "--job-files",
        type=Path,
        metavar="FOLDER",
        help="where both are started; it is copied into every guest. Without it they have to be "
        "there already (in the lab local: where pytest was started)",
    )
    group.addoption(
        "--list",
        action="store_true",
        help="say what would be measured and about how long that takes, and measure nothing",
    )
    group.addoption(
        "--repetitions",
        type=int,
        metavar="N",
        help="measure every point at least so often (default: once where the clock is "
        "deterministic, three times where it is real)",
    )
    group.addoption(
        "--keep",
        action="store_true",
        help="leave the VMs as they were at the last point, paused ones paused; without it all run",
    )


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """List what would be measured, in place of a session, if that is asked for."""
    if not config.getoption("--list"):
        return None
    if config.getoption("--resume") is not None:
        raise pytest.UsageError("--list: what an interrupted run lacks is said by its lab alone")
    profile, options = _asked(config)
    durations = earlier_durations(
        config.getoption("--results"), config.getoption("--lab"), profile.name
    )
    for line in outlook_lines(profile, outlook(profile, options, durations)):
        Console().print(line, **PLAIN)
    return 0


def pytest_configure(config: pytest.Config) -> None:
    _asked(config)  # what cannot be measured is said before a lab is asked for anything


def _began(config: pytest.Config) -> Manifest | None:
    """Return what a run that goes on began with; None for a new one."""
    if (resumed := config.getoption("--resume")) is not None:
        with suppress(HarnessError):  # which the run itself will meet, and tell
            return read_manifest(RunFolder.find(config.getoption("--results"), resumed))
    return None


def _programs(config: pytest.Config) -> Programs | None:
    """Return the operator's own programs; of a run that goes on those that it began with."""
    typed = {side: config.getoption(f"--{side}-job") for side in ("gpu", "cpu")}
    if not any(typed.values()):
        programs = began.parameters.get("programs") if (began := _began(config)) else None
        return TypeAdapter(Programs | None).validate_python(programs)
    try:
        return Programs(
            **{
                side: Program.typed(command, config.getoption(f"--{side}-work"))
                for side, command in typed.items()
                if command is not None
            }
        )
    except ValueError as error:
        raise pytest.UsageError(f"--gpu-job, --cpu-job: {error}") from error


def _profile(config: pytest.Config) -> Profile:
    """Return the profile that was asked for."""
    name = config.getoption("--profile")
    if name is None:
        name = began.profile if (began := _began(config)) else DEFAULT_PROFILE
    # argparse does not hold a default against the choices, and $PROFILE is one.
    if name not in PROFILES:
        raise pytest.UsageError(f"PROFILE={name}: choose one of {', '.join(sorted(PROFILES))}")
    profile, programs = PROFILES[name], _programs(config)
    return profile.with_programs(programs) if programs else profile


def _asked(config: pytest.Config) -> tuple[Profile, Options]:
    """Return what is to be measured, as far as it is known without the lab."""
    kind, repetitions = config.getoption("--lab"), config.getoption("--repetitions")
    profile = _profile(config).for_lab(kind, USUAL_CLOCKS[kind], repetitions)
    options = Options(
        points=tuple(config.getoption("--point")),
        experiments=tuple(config.getoption("--experiment")),
        resume=config.getoption("--resume") is not None,
        keep=config.getoption("--keep"),
    )
    try:
        options.only(profile)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error
    return profile, options


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every claim that the profile allows to judge."""
    if "claim" in metafunc.fixturenames:
        profile = _profile(metafunc.config)
        claims = load_claims(profile, metafunc.config.getoption("--lab"))
        ids = [f"{claim.experiment}-{claim.id}" for claim in claims]
        metafunc.parametrize("claim", claims, ids=ids)


@pytest.fixture(scope="session")
def profile(pytestconfig: pytest.Config) -> Profile:
    return _profile(pytestconfig)


@pytest.fixture(scope="session")
def labs(pytestconfig: pytest.Config) -> Iterator[list[Lab]]:
    with ExitStack() as stack:
        with one_clear_message(pytestconfig):
            folders: list[Path] = list(pytestconfig.getoption("--lab-folder") or [])
            folders += map(lab_folder_of, pytestconfig.getoption("--inventory") or [])
            kind = pytestconfig.getoption("--lab")
            build = ROOT / "build" / "harness"
            files = pytestconfig.getoption("--job-files")
            if files is None and kind == "local":
                files = pytestconfig.invocation_params.dir
            own = own_programs(build, files) if _programs(pytestconfig) else None
            opened = [
                stack.enter_context(open_lab(kind, folder, build, own))
                for folder in folders or [ROOT / ".lab"]
            ]
        yield opened


@pytest.fixture(scope="session")
def run(labs: list[Lab], profile: Profile, pytestconfig: pytest.Config) -> FinishedRun:
    """The whole measurement. Without it there is nothing to test: an error ends the session."""
    root, resumed = pytestconfig.getoption("--results"), pytestconfig.getoption("--resume")
    _, options = _asked(pytestconfig)
    with (
        ended_in_order(),
        one_clear_message(pytestconfig),
        uncaptured(pytestconfig) as console,
    ):
        if resumed is None:
            folder = RunFolder.create(root, datetime.now(UTC))
        else:
            folder = RunFolder.find(root, resumed)
        try:
            repetitions = pytestconfig.getoption("--repetitions")
            fitting = profile.for_lab(labs[0].kind, labs[0].clock, repetitions)
            made = Run(labs, fitting, folder, options)
            with RunProgress(console, made.expected_parts()) as progress:
                finished = run_experiment(made, progress)
        except BaseException:  # Ctrl-C too
            console.print(f"Logs, and what was measured: {folder.path}", **PLAIN)
            raise
        finally:
            # Also of a run that went well, for whoever doubts a number later.
            for lab in labs:
                lab.collect_logs(folder.path / "logs" / lab.host)
        if finished.selection.whole:
            folder.publish()
    pytestconfig.stash[finished_run_key] = finished
    return finished


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM end the measurement as Ctrl-C does: jobs end, VMs wake, what there is stays."""

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, and the end takes its time
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def uncaptured(config: pytest.Config) -> Iterator[Console]:
    """Give a console that is seen at once, although pytest captures the output of tests."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        console = Console()
        console.print()  # pytest has left the cursor behind the test file's name
        yield console


@contextmanager
def one_clear_message(config: pytest.Config) -> Iterator[None]:
    """End the session with a message, and no traceback per test, if the harness gives up."""
    try:
        yield
    except HarnessError as error:
        with uncaptured(config) as console:
            console.print(f"ERROR: {error}", **PLAIN)
        pytest.exit("nothing was judged, see the error above", CANNOT_MEASURE)


@pytest.fixture
def verdict(claim: Claim, run: FinishedRun) -> Verdict:
    """The verdict on one claim; a test ends here whose claim neither passes nor fails."""
    if not claim.is_made_for(run.measurements.clock):
        pytest.skip(f"claimed only for labs with the {claim.clock} clock")
    verdict = next(verdict for verdict in run.verdicts if verdict.claim == claim)
    if skipped := run.skipped(verdict):
        pytest.skip(skipped if verdict.measured else f"{verdict.reason}: {skipped}")
    if verdict.outcome is Outcome.INVALID:
        pytest.fail(f"{INVALID} {verdict.reason}", pytrace=False)
    if verdict.outcome is Outcome.INCONCLUSIVE:
        pytest.xfail(f"{INCONCLUSIVE} {claim.text}: {verdict.reason}")
    if verdict.outcome is Outcome.DOES_NOT_ARISE:
        pytest.xfail(f"{DOES_NOT_ARISE} {claim.text}: {verdict.reason}")
    if verdict.outcome is Outcome.FAIL and claim.kind is Kind.PAPER:
        pytest.xfail(f"{NOT_REPRODUCED} {claim.text}: {verdict.reason}")
    return verdict


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Give a test without a verdict a category, a letter and a colour of its own."""
    if report.failed and report.longreprtext.startswith(INVALID):
        return "invalid", "I", ("INVALID", {"yellow": True})
    if report.skipped and getattr(report, "wasxfail", "").startswith(NOT_REPRODUCED):
        return "not reproduced", "n", ("NOT REPRODUCED", {"yellow": True})
    if report.skipped and getattr(report, "wasxfail", "").startswith(INCONCLUSIVE):
        return "inconclusive", "u", ("INCONCLUSIVE", {"yellow": True})
    if report.skipped and getattr(report, "wasxfail", "").startswith(DOES_NOT_ARISE):
        return "does not arise", "d", ("DOES NOT ARISE", {"yellow": True})
    return None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """End with why verdicts are missing, the tables, and where the report is."""
    finished = config.stash.get(finished_run_key, None)
    if finished is None:
        return
    console = Console()
    console.print()
    print_tables(console, finished.summary)
    paths = {
        "Report": finished.report,
        "Picture": finished.picture,  # which a run of single points may lack
        "All results": finished.folder,
    }
    for label, path in paths.items():
        if path.exists():
            console.print(f"{label}: {path}", **PLAIN)
