"""A run's measuring: every point of a profile, on every host."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from harness.errors import CannotWrite, HarnessError, LabUnsuitable
from harness.judge.evaluate import SampleResult, evaluate
from harness.judge.measurements import Measurements, Unjudgeable
from harness.judge.repetitions import combine
from harness.judge.timeline import Timeline, evaluate_timeline
from harness.keep.manifest import (
    TIMELINE_SAMPLES,
    VERIFICATION,
    Manifest,
    as_begun,
    continue_run,
    read_manifest,
    read_timeline,
    read_verification,
)
from harness.keep.results import RunFolder, raw_name
from harness.lab.lab import Lab
from harness.lab.samples import PointSamples, Verification
from harness.measure.jobs import Jobs
from harness.measure.point import measure_point, running_vms, try_point, verify_numbers
from harness.measure.progress import RunProgress
from harness.measure.timeline import measure_timeline, timeline_seconds
from harness.plan.experiments import ALONE, Best, Mode, Point, alone_split
from harness.plan.profiles import PAPER_GPU_SECONDS, Profile
from harness.plan.schedule import TIMELINE, Task, homes, tasks
from harness.plan.selection import Selection


@dataclass(frozen=True)
class Options(Selection):
    """How a run is to be made, beside what is selected."""

    resume: bool = False
    """Add to what the folder's run has measured already."""
    keep: bool = False
    """Leave the VMs arranged as at the last point."""


class Run:
    """A run that goes on: what is to be measured, and what is measured so far."""

    def __init__(
        self,
        labs: Sequence[Lab],
        profile: Profile,
        folder: RunFolder,
        options: Options | None = None,
    ) -> None:
        options = options or Options()
        require_cpu_vms(labs, profile)
        if options.resume:
            began = read_manifest(folder)
            profile = as_begun(began, profile)
            if options.whole:
                options = replace(options, **vars(began.selection))
        else:
            profile = replace(profile, gpu_launches=labs[0].launches(profile))
        self.selection = Selection(options.points, options.experiments)
        self.labs = labs
        self.profile = profile
        self.folder = folder
        self.keep = options.keep
        self.manifest = Manifest.of(labs, profile, datetime.now(UTC), self.selection)
        self.samples: list[PointSamples] = []
        self.verification: Verification | None = None
        self.timeline: Timeline | None = None
        self.timeline_problem = ""
        if options.resume:
            self.manifest, self.samples = continue_run(folder, self.manifest)
            self.verification = read_verification(folder)
            self.timeline = read_timeline(folder)
        self.only = options.only(profile)
        self.times = bool(profile.timeline_vms) and self.timeline is None
        self.times &= options.wants(TIMELINE)
        self.searches = options.wants("fig6")
        self.verifies = options.wants("checks") and self.verification is None
        self.verifies &= profile.programs is None
        self.results: list[SampleResult] = [evaluate(sample) for sample in self.samples]
        self._measured = threading.Lock()
        self._stopped = threading.Event()

    def left(self, lab: Lab) -> list[Task]:
        """Return what a host is still to measure, but for the splits alone."""
        with self._measured:
            done = {(r.point, r.repetition) for r in self.results if r.host == lab.host}
        hosts = [lab.host for lab in self.labs]
        mine = tasks(self.profile, hosts, self._best_alphas())[lab.host]
        return [
            task
            for task in mine
            if task not in done and (self.only is None or task[0] in self.only)
        ]

    def expected_parts(self) -> list[float]:
        """Return the guessed seconds of every part, for the forecast."""
        points = [task[0] for lab in self.labs for task in self.left(lab)]
        alone = len(self.profile.cpu_vms) if self.searches else 0
        jobs = 1 + self.verifies + any(point.blocking_driver for point in points)
        begin = [START_GUESS * len(self.labs)] + [START_GUESS] * self.verifies
        weights = begin + [point_guess(self.profile)] * (len(points) + alone)
        weights[-1] += START_GUESS * (jobs - 1)
        if self.times:
            weights.append(timeline_guess(self.profile))
        return [weight / len(self.labs) for weight in weights]

    def measure(self, progress: RunProgress) -> None:
        """Measure everything that is left, on all hosts at once."""
        if len(self.labs) == 1:
            self._measure_on(self.labs[0], progress)
            return
        with ThreadPoolExecutor(len(self.labs)) as pool:
            futures = [pool.submit(self._measure_on, lab, progress) for lab in self.labs]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                self._stopped.set()  # on Ctrl-C and after an error the others end their point

    def _measure_on(self, lab: Lab, progress: RunProgress) -> None:
        last: Point | None = None
        with Jobs(lab, self.profile) as jobs:
            with progress.part(f"{REACHING} {lab.host}"):
                jobs.prepare_lab()
            if self.verifies and lab is self.labs[0]:
                with progress.part(VERIFYING):
                    self.verification = verify_numbers(lab, jobs, self.profile)
                self.folder.write_json(VERIFICATION, self.verification)
            # Asked anew each time: what is repeated depends on what was found.
            while left := self.left(lab):
                if self._stopped.is_set():
                    return
                point, repetition = left[0]
                with progress.part(point.label):
                    self._take(lab, jobs, point, repetition)
                last = point
            for point in self._alone_left(lab):
                with progress.part(point.label):
                    self._take(lab, jobs, point, 1)
                last = point
            if self.times and lab is self.labs[0]:
                with progress.part(TIMELINE):
                    self._take_timeline(lab, jobs)
        if self.keep and last is not None:
            lab.arrange(running_vms(lab, last))

    def _take(self, lab: Lab, jobs: Jobs, point: Point, repetition: int) -> None:
        """Measure one repetition of a point, keep its raw samples and its numbers."""
        # A program that cannot be measured at all is told at once, and not at every point.
        measure = try_point if self._went_well_before(point) else measure_point
        window = self._window(lab)
        samples = measure(lab, jobs, point, repetition, self.profile, window)
        if samples.incidents:
            # Once more: what breaks a second time will not mend itself.
            again = try_point(lab, jobs, point, repetition, self.profile, window)
            samples = replace(again, repeated_for=samples.incidents)
        # Without room for it the run ends here, and can be continued: the rest would be lost too.
        self.folder.write_json(raw_name(point, repetition, samples.host), samples)
        with self._measured:
            self.samples.append(samples)
            self.results.append(evaluate(samples))

    def _went_well_before(self, point: Point) -> bool:
        """Whether points with the jobs of this one can be measured, as far as they are foreign."""
        alike = (r for r in self.results if (r.point.cpu_vms > 0) == (point.cpu_vms > 0))
        return self.profile.programs is None or any(not result.problems for result in alike)

    def _window(self, lab: Lab) -> float | None:
        """Return the seconds that a window has which no GPU job's end bounds.

        As long as the GPU job alone; None where nobody knows yet how long a program takes.
        """
        if self.profile.counts_gpu_lines:
            return self.profile.program_window
        mine = [r for r in self.results if (r.host, r.point) == (lab.host, ALONE)]
        alone = [r.gpu_seconds for r in mine if r.gpu_seconds and not r.problems]
        if alone:
            return alone[0]
        return None if self.profile.gpu_program else PAPER_GPU_SECONDS * self.profile.gpu_scale

    def _take_timeline(self, lab: Lab, jobs: Jobs) -> None:
        """Measure the timeline; what goes wrong is kept, and costs the timeline only."""
        try:
            samples = measure_timeline(lab, jobs, self.profile)
            self.folder.write_json(TIMELINE_SAMPLES, samples)
            self.timeline = evaluate_timeline(samples)
        except CannotWrite:
            raise
        except HarnessError as error:
            jobs.stop()
            self.timeline_problem = error.what

    def _best_alphas(self) -> Best:
        """Return the best alphas as far as they can be said."""
        measurements = self.measurements()
        found = {}
        for n in self.profile.cpu_vms:
            for mode in (Mode.GPUSPLIT, Mode.PAPER):
                with suppress(Unjudgeable):
                    best = measurements.beside(n).chosen(n, mode).point.alpha
                    found[n, mode] = best or self.profile.alpha
        return found

    def _alone_left(self, lab: Lab) -> list[Point]:
        """Return the splits alone that the points on a host turned out to need."""
        home = homes(self.profile, [lab.host for lab in self.labs])
        measurements = self.measurements()
        wanted = []
        for n in self.profile.cpu_vms:
            if home[n] == lab.host:
                with suppress(Unjudgeable):
                    wanted.append(measurements.beside(n).chosen(n).wanted)
        done = {result.point for result in self.results if result.host == lab.host}
        points = alone_split(groups for groups in wanted if groups is not None)
        possible = [point for point in points if self.only is None or point in self.only]
        return [point for point in possible if point not in done]

    def measurements(self) -> Measurements:
        """Return what was measured so far, for judging."""
        lab = self.labs[0]
        with self._measured:
            results = combine(self.results)
        return Measurements(
            lab.kind, lab.clock, lab.shared_cpus, self.profile, results, self.verification,
            self.timeline, self.timeline_problem,
        )  # fmt: skip


VERIFYING = "checking the GPU job's numbers against numpy"
REACHING = "reaching every VM of"
"""Names of parts of a run; the latter goes on with a host's."""

START_GUESS = 20.0
"""Seconds to begin: reaching the VMs, a GPU job. A guess for the first forecast, no more."""

POINT_GUESS = 2.0
"""Seconds that a point takes beside its window."""

PACE_GUESS = 0.5
"""Seconds of the controller's clock that a second of the window takes."""


def point_guess(profile: Profile) -> float:
    """Guess the seconds that a point takes."""
    return POINT_GUESS + PACE_GUESS * PAPER_GPU_SECONDS * profile.gpu_scale


def timeline_guess(profile: Profile) -> float:
    """Guess the seconds that the timeline takes."""
    return POINT_GUESS + PACE_GUESS * timeline_seconds(profile)


def require_cpu_vms(labs: Sequence[Lab], profile: Profile) -> None:
    """Refuse a run that needs more CPU VMs than there are."""
    for lab in labs:
        if profile.most_cpu_vms > len(lab.cpu_vms):
            raise LabUnsuitable(
                f"This run needs {profile.most_cpu_vms} CPU VMs; the lab has {len(lab.cpu_vms)}.",
                f"build the lab with {profile.most_cpu_vms} CPU VMs, or choose a smaller PROFILE",
            )
