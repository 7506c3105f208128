"""An operator's own programs as GPU job and CPU job, in a lab that is not there."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from harness_fakes import ALONE, World
from program_fakes import GPU_RUN, LINE_EVERY, FakeKeeper, lab_with_programs
from rich.console import Console

from harness.errors import CommandTimedOut, JobFailed
from harness.judge.claims import Outcome
from harness.judge.evaluate import evaluate
from harness.keep.manifest import read_samples
from harness.keep.results import RunFolder
from harness.keep.summary import read_summary
from harness.lab import programs as lab_programs
from harness.lab.hosts import Job, Process
from harness.lab.programs import put_folder, words_of
from harness.lab.samples import PointSamples
from harness.measure.own_jobs import OwnCpuJob
from harness.measure.progress import RunProgress
from harness.measure.run import Run
from harness.plan.experiments import Mode, Point, experiments, gpusplit_options, split
from harness.plan.profiles import PROFILES, Profile
from harness.plan.programs import Program, Programs, Work
from harness.plan.schedule import known
from harness.report.content import content
from harness.whole_run import FinishedRun, judge_measured, run_experiment

GPU, CPU = Program(("python", "train.py")), Program(("./solve",))


def profile(programs: Programs, repetitions: int = 1) -> Profile:
    return PROFILES["smoke"].with_programs(programs).for_lab("dryrun", "deterministic", repetitions)


def take(world: World, folder: Path, programs: Programs, repetitions: int = 1) -> FinishedRun:
    results = folder / "results"
    results.mkdir(exist_ok=True)
    lab = lab_with_programs(world, folder / "lab")
    made = Run([lab], profile(programs, repetitions), RunFolder(results))
    with RunProgress(Console(file=io.StringIO()), made.expected_parts()) as progress:
        return run_experiment(made, progress)


def samples(run: FinishedRun) -> PointSamples:
    """What was sampled beside one CPU VM, with the plain GPU program."""
    found = read_samples(RunFolder(run.folder))
    return next(s for s in found if s.point.label == "n1-unsplit")


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return take(world, tmp_path_factory.mktemp("run"), Programs(GPU, CPU))


class TestProgramsThatEnd:
    def test_are_measured_plain_and_under_gpusplit_and_nothing_else_is(
        self, run: FinishedRun
    ) -> None:
        assert {point.label for point in run.summary.points} == {
            *("n0-unsplit", "n0-unsplit_cooperative", "n0-gpusplit-alpha2"),
            *("n1-no_gpu", "n1-unsplit", "n1-unsplit_cooperative", "n1-gpusplit-alpha2"),
            *("n2-no_gpu", "n2-unsplit", "n2-unsplit_cooperative", "n2-gpusplit-alpha2"),
        }
        assert not [point.problems for point in run.summary.points if point.problems]

    def test_the_gpu_programs_duration_is_the_measure(self, run: FinishedRun) -> None:
        assert run.measurements.at(1, Mode.UNSPLIT).gpu_seconds == pytest.approx(GPU_RUN)

    def test_a_cpu_program_is_run_again_and_again(self, run: FinishedRun) -> None:
        """Its runs per second: of a CPU that a spinning GPU program shares."""
        at = run.measurements.at
        assert at(1, Mode.NO_GPU).cpu_throughput == pytest.approx(ALONE, rel=1e-2)
        assert at(1, Mode.UNSPLIT).cpu_throughput == pytest.approx(ALONE / 2, rel=1e-2)
        assert at(1, Mode.UNSPLIT_COOPERATIVE).cpu_throughput == pytest.approx(
            0.98 * ALONE, rel=1e-2
        )

    def test_harm_is_what_is_judged(self, run: FinishedRun) -> None:
        claims = {
            f"program-{what}-n{n}"
            for what in ("neighbours-waits", "time-waits", "neighbours", "time")
            for n in (1, 2)
        }
        assert {v.claim.id: v.outcome for v in run.verdicts} == dict.fromkeys(claims, Outcome.PASS)

    def test_nothing_is_left_running(self, world: World, run: FinishedRun) -> None:
        assert not world.running

    def test_files_go_to_every_guest_once_and_programs_start_among_them(
        self, world: World, run: FinishedRun
    ) -> None:
        unpacked = [host for host, command in world.commands if "tar -xf" in command]
        assert sorted(unpacked) == ["cpu1", "cpu2", "gpu1", "gpu1"]  # gpusplit, too

    def test_the_report_says_what_was_measured(self, run: FinishedRun) -> None:
        report = content(read_summary(run.folder), "made up")
        facts = dict(report.facts)
        assert facts["GPU program"] == "python train.py (on the emulated GPU)"
        assert facts["CPU program"] == "./solve"
        assert report.answer is not None
        figure = report.answer.figure
        assert figure.panels[0].axis == "runs/s of a CPU VM"
        assert figure.finding.startswith("Beside the plain GPU program a CPU program is 33.")
        assert report.emulated

    def test_it_is_judged_again_without_the_lab(self, run: FinishedRun) -> None:
        before = read_summary(run.folder)
        judge_measured(RunFolder(run.folder))
        assert read_summary(run.folder) == before


class TestProgramsThatRunOn:
    def test_are_counted_by_the_lines_that_they_print(self, tmp_path: Path) -> None:
        run = take(
            World(),
            tmp_path,
            Programs(replace(GPU, work=Work.LINES), replace(CPU, work=Work.LINES)),
        )
        unsplit = run.measurements.at(1, Mode.UNSPLIT)
        assert unsplit.gpu_seconds == pytest.approx(LINE_EVERY, rel=0.02)
        assert unsplit.gpu_vm_cpu_seconds == pytest.approx(LINE_EVERY / 2, rel=0.05)
        assert unsplit.cpu_throughput == pytest.approx(ALONE / 2, rel=1e-2)
        (sample, *_) = run.measurements.results[0].samples
        assert sample.gpu_seconds == pytest.approx(LINE_EVERY, rel=0.02)


class TestOneOfBoth:
    def test_only_the_gpu_program(self, tmp_path: Path) -> None:
        run = take(World(), tmp_path, Programs(gpu=GPU))
        assert run.measurements.at(1, Mode.UNSPLIT).cpu_throughput == pytest.approx(
            ALONE / 2, rel=1e-2
        )
        assert not any(verdict.fails_the_run for verdict in run.verdicts)

    def test_only_the_cpu_program(self, tmp_path: Path) -> None:
        run = take(World(), tmp_path, Programs(cpu=CPU))
        assert run.measurements.at(1, Mode.UNSPLIT).gpu_seconds == pytest.approx(7.8)
        assert not any(verdict.fails_the_run for verdict in run.verdicts)


class TestWhatGoesWrong:
    def test_a_gpu_program_that_fails_ends_the_run_with_its_own_words(self, tmp_path: Path) -> None:
        world = World()
        with pytest.raises(JobFailed, match="ended with status 3: no licence"):
            take(world, tmp_path, Programs(Program(("train", "fails")), CPU))
        assert not world.running

    def test_so_does_a_cpu_program(self, tmp_path: Path) -> None:
        world = World()
        with pytest.raises(JobFailed, match="no licence"):
            take(world, tmp_path, Programs(GPU, Program(("solve", "fails"))))
        assert (tmp_path / "results" / "raw" / "n0-unsplit.1.xen1.json").exists()

    def test_one_that_failed_once_costs_that_repetition_only(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        went = FakeKeeper.gpu
        runs: list[str] = []

        def fail_the_fifth(self: FakeKeeper, word: str) -> None:
            runs.append(word)
            if len(runs) == 5:
                self.said.clear()
            else:
                went(self, word)

        monkeypatch.setattr(FakeKeeper, "gpu", fail_the_fifth)
        run = take(World(), tmp_path, Programs(GPU, CPU), repetitions=2)
        assert not any(point.problems for point in run.summary.points)

    def test_too_few_pieces_of_work_are_not_counted(self, run: FinishedRun) -> None:
        """A run of the CPU program must be short beside the window."""
        raw = samples(run)
        (cpu,) = raw.cpus
        step = len(cpu.ends) // 4
        few = replace(raw, cpus=(replace(cpu, ends=cpu.ends[::step]),))
        (problem,) = evaluate(few).problems
        assert "the program in cpu1 did" in problem
        assert "5 are the least that can be counted" in problem

    @pytest.mark.parametrize(
        ("work", "event", "said"),
        [
            (Work.LINES, "warm", "printed no line within 0 s"),
            (Work.TIME, "report", "did not end within 0 s"),
        ],
    )
    def test_silence_is_told_with_what_to_do(self, work: Work, event: str, said: str) -> None:
        class Silent:
            heard = 0

            def send(self, line: str) -> None: ...
            def stop(self) -> None: ...
            def read_line(self, timeout: float) -> str:
                Silent.heard += 1
                if Silent.heard > 1:
                    raise CommandTimedOut("nothing", "nothing")
                return '{"event": "ready"}'

        class Lab:
            def start_cpu_program(self, vm: str, program: Program) -> Job:
                process: Process = Silent()
                return Job("the CPU program `./solve` of cpu1", process)

        job = OwnCpuJob(Lab(), "cpu1", replace(CPU, work=work))  # type: ignore[arg-type]
        with pytest.raises(JobFailed, match=f"`./solve` of cpu1 {said}") as caught:
            job._expect(event, 0.0)
        assert "--cpu-work" in caught.value.remedy


class TestThePlan:
    def test_has_nothing_of_the_papers(self) -> None:
        programs = profile(Programs(GPU, CPU))
        assert [experiment.id for experiment in experiments(programs)] == ["programs"]
        assert known(programs) == ("programs",)

    def test_the_card_has_its_own_speed(self, run: FinishedRun) -> None:
        raw = samples(run)
        assert raw.options["EMUGPU_SCALE"] == "1.0"

    def test_a_command_is_read_as_a_shell_would_read_its_words(self) -> None:
        assert Program.typed("./a 'b c'", "time").words == ("./a", "b c")
        for nonsense in ("", "'"):
            with pytest.raises(ValueError, match=r"empty|quotation"):
                Program.typed(nonsense, "time")


class TestUnderGpusplit:
    def words(self, mode: Mode) -> list[str]:
        point = split(1, mode, alpha=2) if mode.splits else Point(1, mode)
        options = gpusplit_options(point) | {"vms": "static:2"}
        return words_of(GPU, "python3", "/root", options)

    def test_plain_is_the_programs_own_command_line(self) -> None:
        assert self.words(Mode.UNSPLIT) == ["python", "train.py"]

    def test_the_others_are_what_an_operator_types(self) -> None:
        _, _, _, root, *typed = self.words(Mode.GPUSPLIT)
        assert root == "/root"
        assert " ".join(typed) == (
            "run --policy vms --alpha 2 --wait cooperative --vms static:2 --judge wait "
            "python train.py"
        )
        assert "--policy unsplit" in " ".join(self.words(Mode.UNSPLIT_COOPERATIVE))


class Here:
    """This machine as a host: what is put there is really unpacked."""

    name = "here"

    def __init__(self) -> None:
        self.put_there: list[str] = []

    def run(self, command: str, timeout: float = 0) -> str:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        return done.stdout

    def put(self, local: Path, remote: str) -> None:
        self.put_there.append(remote)
        Path(remote).write_bytes(local.read_bytes())


def test_a_folder_is_put_once_for_each_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_programs, "FOLDER", str(tmp_path / "there"))
    files = tmp_path / "my files"
    (files / "__pycache__").mkdir(parents=True)
    (files / "__pycache__" / "x.pyc").write_text("not this")
    (files / "solve").write_text("#!/bin/sh\n")
    (files / "solve").chmod(0o755)
    here = Here()
    places = [put_folder(here, files) for _ in range(2)]  # type: ignore[arg-type]
    (files / "solve").write_text("#!/bin/sh\nexit\n")
    places.append(put_folder(here, files))  # type: ignore[arg-type]
    assert len(here.put_there) == 2
    assert places[0] == places[1] != places[2]
    assert (Path(places[0]) / "solve").stat().st_mode & 0o111
    assert not (Path(places[0]) / "__pycache__").exists()
