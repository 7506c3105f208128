"""gpusplit plan: predictions for one kind of host or for many, as a table, CSV or JSON."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TextIO

from gpusplit.planning import DRIVER_WAITS, TIME_SLICES, WAITS, Host, Job, Prediction, predict

#: Drivers that arithmetic has no answer for; `block` is what the emulated GPU calls interrupt.
SIMULATED_WAITS = ("poll", "tick", "spin-then-block", "block-then-spin", "block-then-poll")

#: More rows than this are a slip of the keyboard; a million take half a minute.
MOST_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """One quantity that may be swept.

    Attributes
    ----------
    name: of the option and the column.
    default: its value if not given, a number or a word.
    help: for people, with the unit.
    least, most: the range of numbers; *words*: the possible words instead.
    whole: whether only whole numbers make sense.
    """

    name: str
    default: Any
    help: str
    least: float = 0.0
    most: float = 1e6
    whole: bool = True
    words: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")

    def values(self, text: str) -> list[Any]:
        """The values that *text* lists: 3, 1,2,4 or 1:8 or 10:100:10 (ends included)."""
        try:
            found = [value for part in text.split(",") for value in self._part(part.strip())]
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}; try 3, 1,2,4 or 1:8") from None
        return list(dict.fromkeys(found))

    def _part(self, part: str) -> Iterable[Any]:
        if self.words:
            if part not in self.words:
                raise ValueError(f"{part!r} is none of {', '.join(self.words)}")
            return [part]
        numbers = [self._number(word) for word in part.split(":")]
        if len(numbers) == 1:
            return numbers
        if len(numbers) > 3:
            raise ValueError(f"{part!r} is no range")
        begin, end, step = (*numbers, 1)[:3]
        if step <= 0 or end < begin or (end - begin) / step > MOST_ROWS:
            raise ValueError(f"{part!r} is an empty or endless range")
        # A little beyond the end: 0.1:0.3:0.1 is to have three values.
        count = int((end - begin) / step + 1e-9) + 1
        return [begin + i * step for i in range(count)]

    def _number(self, word: str) -> float:
        number = int(word) if self.whole else float(word)
        if not self.least <= number <= self.most:
            raise ValueError(f"{word} is not between {self.least:g} and {self.most:g}")
        return number


CHOICES = (
    Choice("hosts", 1, "like hosts", 1),
    Choice("pcpus", 4, "physical CPUs of a host that guests may use", 1, 4096),
    Choice("vms", 4, "CPU VMs per host", 1, 10_000),
    Choice("vcpus", 4, "virtual CPUs of each CPU VM", 1, 4096),
    Choice("gpu_vms", 1, "VMs with a GPU per host", 0, 1000),
    Choice("load", 1.0, "part of the time that CPU VMs have work, 0.01 to 1", 0.01, 1, False),
    Choice("scheduler", "credit", "credit, credit2 or cfs", words=tuple(TIME_SLICES)),
    Choice("cpu_weight", 256, "weight of a CPU VM", 1, 65535),
    Choice("gpu_weight", 256, "weight of a GPU VM", 1, 65535),
    Choice("cpu_cap", 0, "cap of a CPU VM, per cent of a CPU; 0: none", 0, 409_600),
    Choice("gpu_cap", 0, "cap of a GPU VM, likewise", 0, 409_600),
    Choice("driver_wait", "spin", "what the driver does while waiting: spin, block; with --seeds "
           "also " + ", ".join(SIMULATED_WAITS), words=DRIVER_WAITS + SIMULATED_WAITS),
    Choice("then_after_ms", 2000.0, "when a wait of two kinds changes to the second, ms", 0, 1e9,
           False),
    Choice("poll_period_us", 50.0, "sleep of a polling driver, us", 1, 1e9, False),
    Choice("poll_cost_us", 1.0, "CPU time of its look, us", 0, 1e9, False),
    Choice("threads", 1, "threads of the GPU job that wait like this, a virtual CPU each; with "
           "--seeds", 1, 1000),
    Choice("wait", "cooperative", "gpusplit's wait: cooperative, driver", words=WAITS),
    Choice("groups", 10, "groups that a launch is cut into", 1),
    Choice("kernel_ms", 1000.0, "device time of an unsplit launch, ms", 1e-3, 1e9, False),
    Choice("group_us", 0.0, "device time that each further group costs, us "
           "(measure it: python -m bench.split_overhead)", 0, 1e9, False),
    Choice("wait_cpu", 0.4, "CPU use of a sleeping wait, per cent of a CPU", 0, 100, False),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A case and its prediction; the columns after those of CHOICES.

    CPUs are of one host but for total_cpus_freed, which is of all; the rest is in per cent but
    for launch times, which are in ms.
    """

    cpus_undisturbed: float
    cpus_unsplit: float
    cpus_split: float
    gain_percent: float
    limit_percent: float
    cost_percent: float
    unsplit_launch_ms: float
    split_launch_ms: float
    gpu_vm_cpus_unsplit: float
    gpu_vm_cpus_split: float
    total_cpus_freed: float


@dataclass(frozen=True)
class SimulatedRow(Row):
    """The same as means over seeds, and the 95 % intervals of gain and cost."""

    gain_low_percent: float
    gain_high_percent: float
    cost_low_percent: float
    cost_high_percent: float


def _question(case: Mapping[str, Any]) -> tuple[Host, Job]:
    host = Host(
        pcpus=case["pcpus"], cpu_vms=case["vms"], vcpus=case["vcpus"], gpu_vms=case["gpu_vms"],
        load=case["load"], scheduler=case["scheduler"], cpu_weight=case["cpu_weight"],
        gpu_weight=case["gpu_weight"], cpu_cap=case["cpu_cap"] / 100,
        gpu_cap=case["gpu_cap"] / 100,
    )  # fmt: skip
    job = Job(
        kernel_seconds=case["kernel_ms"] / 1e3, driver_wait=case["driver_wait"],
        wait=case["wait"], groups=case["groups"], group_seconds=case["group_us"] / 1e6,
        wait_cpu=case["wait_cpu"] / 100,
    )  # fmt: skip
    return host, job


def row(case: Mapping[str, Any]) -> Row:
    """The prediction for *case*, which has a value for each of CHOICES.

    ValueError for what arithmetic has no answer for.
    """
    if case["driver_wait"] not in DRIVER_WAITS or case["threads"] > 1:
        raise ValueError(
            f"driver_wait {case['driver_wait']} with {case['threads']} threads is only simulated: "
            "say --seeds 5"
        )
    return _row(case, predict(*_question(case)))


def simulated_row(case: Mapping[str, Any], seeds: int) -> SimulatedRow:
    """The prediction for *case* by so many simulations; ValueError for what is not simulated."""
    # The simulation is for those who ask for it: this module is imported by every command.
    from gpusplit.simulate.driver import Driver
    from gpusplit.simulate.predict import predict as simulate
    from gpusplit.simulate.predict import span

    host, job = _question(case)
    driver = Driver(
        wait=case["driver_wait"].replace("block", "interrupt"),
        then_after=case["then_after_ms"] / 1e3,
        poll_period=case["poll_period_us"] / 1e6,
        poll_cost=case["poll_cost_us"] / 1e6,
    )
    found = [simulate(host, job, driver, case["threads"], seed) for seed in range(seeds)]
    each = [asdict(_row(case, one)) for one in found]
    means = {name: sum(one[name] for one in each) / seeds for name in each[0]}
    gain, cost = (span([one[name] for one in each]) for name in ("gain_percent", "cost_percent"))
    return SimulatedRow(**means, gain_low_percent=gain.low, gain_high_percent=gain.high,
                        cost_low_percent=cost.low, cost_high_percent=cost.high)  # fmt: skip


def _row(case: Mapping[str, Any], found: Prediction) -> Row:
    return Row(
        found.undisturbed, found.unsplit.cpu_vms, found.split.cpu_vms,
        100 * found.gain, 100 * found.limit, 100 * found.cost,
        1e3 * found.unsplit.launch_seconds, 1e3 * found.split.launch_seconds,
        found.unsplit.gpu_vm, found.split.gpu_vm,
        case["hosts"] * found.freed,
    )  # fmt: skip


def sweep(
    values: Mapping[str, Sequence[Any]], seeds: int = 0
) -> Iterator[tuple[dict[str, Any], Row]]:
    """Each combination of *values*, one list for each of CHOICES, and its prediction.

    By simulation with so many *seeds*, by arithmetic with none.
    """
    for combination in itertools.product(*values.values()):
        case = dict(zip(values, combination, strict=True))
        yield case, simulated_row(case, seeds) if seeds else row(case)


def add_options(command: argparse.ArgumentParser) -> None:
    """Give *command* the options of gpusplit plan."""
    command.description = (
        "Predict what gpusplit brings to a host's CPU VMs and what it costs the GPU job. Every "
        "number may be a list (1,2,4) or a range (1:8, 10:100:10): all combinations are predicted."
    )
    for choice in CHOICES:
        command.add_argument(
            choice.flag, dest=choice.name, metavar="X", type=choice.values,
            default=[choice.default], help=f"{choice.help} (default: {choice.default})",
        )  # fmt: skip
    command.add_argument(
        "--seeds", type=_seeds, default=0, metavar="N",
        help="simulate each case with so many seeds, 2 or more, in place of arithmetic (credit and "
        "credit2; seconds a case; docs/simulation.md)",
    )  # fmt: skip
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="every column, comma-separated")
    form.add_argument("--json", action="store_true", help="one JSON object per line")


def plan(options: argparse.Namespace, out: TextIO) -> int:
    """Write the predictions for *options* to *out*.

    ValueError where they are too many, or there is no answer.
    """
    values = {choice.name: getattr(options, choice.name) for choice in CHOICES}
    rows = 1
    for some in values.values():
        rows *= len(some)
    if rows > MOST_ROWS:
        raise ValueError(f"{rows} combinations; at most {MOST_ROWS} are predicted at a time")
    if options.csv:
        _write_csv(values, options.seeds, out)
    elif options.json:
        import json  # with the command's options, this module is imported by every other command

        for case, found in sweep(values, options.seeds):
            print(json.dumps(case | _columns(found)), file=out)
    else:
        _write_table(values, options.seeds, out)
    return 0


def _columns(found: Row) -> dict[str, float]:
    return {name: round(value, 6) for name, value in asdict(found).items()}


def _seeds(text: str) -> int:
    number = int(text)
    if not 2 <= number <= 1000:
        raise argparse.ArgumentTypeError(f"from 2 (an interval needs as many) to 1000, not {text}")
    return number


def _write_csv(values: Mapping[str, Sequence[Any]], seeds: int, out: TextIO) -> None:
    import csv  # as above

    writer = csv.writer(out, lineterminator="\n")
    kind = SimulatedRow if seeds else Row
    writer.writerow([*values, *(field.name for field in fields(kind))])
    for case, found in sweep(values, seeds):
        writer.writerow([*case.values(), *_columns(found).values()])


def _write_table(values: Mapping[str, Sequence[Any]], seeds: int, out: TextIO) -> None:
    swept = [name for name, some in values.items() if len(some) > 1]
    fixed = [f"{name} {some[0]}" for name, some in values.items() if len(some) == 1]
    how = f"simulated with {seeds} seeds" if seeds else "predicted"
    print(f"{how} for: " + ", ".join(fixed), file=out)
    print("CPUs that the CPU VMs of a host get: alone, beside an unsplit GPU job, beside gpusplit;",
          file=out)  # fmt: skip
    print("gain: theirs; limit: the most possible; cost: the GPU job's; freed: CPUs of all hosts",
          file=out)  # fmt: skip
    titles = ("alone", "unsplit", "gpusplit", "gain", "limit", "cost", "freed")
    widths = [
        2 + max(6, len(name), *(len(_short(value)) for value in values[name])) for name in swept
    ]
    print("".join(f"{name:>{width}}" for name, width in zip(swept, widths, strict=True))
          + "".join(f"{title:>10}" for title in titles), file=out)  # fmt: skip
    for case, found in sweep(values, seeds):
        line = "".join(
            f"{_short(case[name]):>{width}}" for name, width in zip(swept, widths, strict=True)
        )
        line += f"{found.cpus_undisturbed:10.2f}{found.cpus_unsplit:10.2f}{found.cpus_split:10.2f}"
        line += "".join(
            f"{value:9.1f}%"
            for value in (found.gain_percent, found.limit_percent, found.cost_percent)
        )
        line += f"{found.total_cpus_freed:10.1f}"
        if isinstance(found, SimulatedRow):
            line += (
                f"  gain {found.gain_low_percent:.1f} to {found.gain_high_percent:.1f} %, "
                f"cost {found.cost_low_percent:.1f} to {found.cost_high_percent:.1f} %"
            )
        print(line, file=out)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"
