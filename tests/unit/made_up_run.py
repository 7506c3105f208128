"""A run that nobody measured: numbers from a small formula, made up for tests of the report.

Everything in it says so (its profile, its device), and no file of it is kept as a result.
"""

from __future__ import annotations

from typing import Any

ALONE = 128.0
"""Multiplications per second of a CPU VM that has the CPU to itself."""

JOB = 13.0
"""Seconds of the GPU job alone."""

NUMBERS = (1, 2, 3, 4)
GROUPS = (2, 4, 10, 20)


def made_up_run(repetitions: int = 3) -> dict[str, Any]:
    """Return a summary.json of schema 2 with every experiment."""
    points = [_point(n, "no_gpu", repetitions) for n in (1, 2, 3, 4, 5)]
    points += [_point(n, "unsplit", repetitions) for n in (0, *NUMBERS)]
    points += [
        _point(n, mode, repetitions, groups=2 * (n + 1), alpha=2)
        for mode in ("gpusplit", "paper")
        for n in NUMBERS
    ]
    points += [_point(n, "unsplit_cooperative", repetitions) for n in NUMBERS]
    points += [
        _point(n, mode, repetitions, groups=groups)
        for mode in ("paper", "gpusplit")
        for groups in (*GROUPS, 500)
        for n in (0, *NUMBERS)
    ]
    points += [_adaptive(n, repetitions) for n in NUMBERS]
    blocking = _point(1, "unsplit", repetitions) | {
        "label": "n1-unsplit-blocking",
        "blocking_driver": True,
    }
    points.append(blocking)
    return {
        "schema": 2,
        "lab": "dryrun",
        "profile": "made up for tests",
        "clock": "deterministic",
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T04:05:06+00:00",
        "environment": {
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "controller": {"python": "3.11.7", "kernel": "made up"},
            "host": {"xen_version": "made up", "xen_commandline": "placeholder sched=credit"},
            "gpu_vm": {"device": "Made-up GPU of the tests (emulated)", "python": "3.11.2"},
        },
        "parameters": {"name": "made up for tests", "cpu_vms": list(NUMBERS), "alpha": 2},
        "points": points,
        "experiments": _experiments(points),
        "calibration": [_calibration(n) for n in NUMBERS],
        "claims": _claims(points),
        "physical_limits": {str(n): (n + 1) / n - 1 for n in NUMBERS},
        "repeatability": [
            {"host": "xen1", "quantity": name, "deviation": deviation, "freedom": 44}
            for name, deviation in (("cpu_throughput", 0.0021), ("gpu_seconds", 0.0012))
        ],
        "verification": {
            "size": 144,
            "groups": 4,
            "max_relative_error": 6.6e-07,
            "device": "Made-up GPU of the tests (emulated)",
        },
    }


def point(run: dict[str, Any], label: str) -> dict[str, Any]:
    """Return one point of a run, to be changed."""
    found: dict[str, Any] = next(p for p in run["points"] if p["label"] == label)
    return found


def set_number(run: dict[str, Any], label: str, name: str, value: float | None) -> None:
    """Change a number of a point, and its interval and its samples with it."""
    changed = point(run, label)
    factor = value / changed[name] if value is not None else None
    changed[name] = value
    interval = changed[f"{name}_interval"]
    if interval:
        changed[f"{name}_interval"] = [x * factor for x in interval] if factor else None
    for sample in changed["samples"]:
        sample[name] = sample[name] * factor if factor else None


def _label(n: int, mode: str, groups: int | None, alpha: int | None) -> str:
    suffix = f"-alpha{alpha}" if alpha else f"-{groups}groups" if groups else ""
    return f"n{n}-{mode}{suffix}"


def _throughput(n: int, mode: str, groups: int) -> float:
    """A GPU VM takes a share of the CPU that splitting and waiting make smaller."""
    appetite = {
        "no_gpu": 0.0,
        "unsplit": 1.0,
        "unsplit_cooperative": 0.02,
        "paper": 1.0 - 0.15 * (1 - 2 / (groups + 1)),
        "gpusplit": 0.02 + 0.0004 * groups,
    }[mode]
    return ALONE / (n + appetite)


def _seconds(n: int, mode: str, groups: int) -> float:
    late = {"unsplit": 0.003 * n, "paper": 0.003 * n + 0.0008 * groups}.get(mode, 0.001 * n)
    return JOB * (1 + late + (0.0004 * groups if mode == "gpusplit" else 0))


def _point(
    n: int, mode: str, repetitions: int, groups: int | None = None, alpha: int | None = None
) -> dict[str, Any]:
    launched = None if mode == "no_gpu" else groups or 1
    label = _label(n, mode, groups, alpha)
    cpu = _throughput(n, mode, launched or 0) if n else None
    gpu = None if mode == "no_gpu" else _seconds(n, mode, launched or 0)
    own = {"no_gpu": 0.0, "gpusplit": 0.26, "unsplit_cooperative": 0.25}.get(mode, JOB / (n + 1))
    samples = []
    for repetition in range(1, repetitions + 1):
        # A spread of 0.2 %, as between repetitions on the deterministic clock.
        factor = 1 + 0.001 * (repetition - (repetitions + 1) / 2)
        samples.append(
            {
                "repetition": repetition,
                "host": "xen1",
                "cpu_throughput": cpu and cpu * factor,
                "gpu_seconds": gpu and gpu * factor,
                "gpu_vm_cpu_seconds": own * factor,
                "cpu_throughputs": {f"cpu{i}": cpu * factor for i in range(1, n + 1)},
                "raw": f"raw/{label}-r{repetition}.json",
                "problems": [],
            }
        )
    return {
        "label": label,
        "cpu_vms": n,
        "mode": mode,
        "groups": launched,
        "wanted": groups,
        "alpha": alpha,
        "blocking_driver": False,
        "launches": None,
        "cpu_throughput": cpu,
        "gpu_seconds": gpu,
        "gpu_vm_cpu_seconds": own,
        "cpu_throughput_interval": _interval(cpu, repetitions),
        "gpu_seconds_interval": _interval(gpu, repetitions),
        "gpu_vm_cpu_seconds_interval": _interval(own, repetitions),
        "samples": samples,
        "cpu_throughputs": {f"cpu{i}": cpu for i in range(1, n + 1)},
        "problems": [],
    }


def _adaptive(n: int, repetitions: int) -> dict[str, Any]:
    """It leaves launches whole."""
    label = f"n{n}-gpusplit-adaptive"
    changes = {"label": label, "mode": "gpusplit", "wanted": 1, "adaptive": True}
    return _point(n, "unsplit_cooperative", repetitions) | changes


def _interval(value: float | None, repetitions: int) -> list[float] | None:
    if value is None or repetitions < 2:
        return None
    return [value * 0.9975, value * 1.0025]


def _experiments(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def labels(*modes: str, groups: tuple[int, ...] | None = None) -> list[str]:
        return [
            p["label"]
            for p in points
            if p["mode"] in modes
            and not p["blocking_driver"]
            and not p.get("adaptive")
            and (groups is None or (p["wanted"] in groups and p["alpha"] is None))
        ]

    by_vms = [p["label"] for p in points if p["alpha"] is not None]
    plain = labels("no_gpu", "unsplit")
    split = ("paper", "gpusplit")
    table = {
        "fig2": ("A GPU VM as a neighbour", "Fig. 2", plain),
        "fig4": ("Fixed groups: the CPU VMs", "Fig. 4", labels(*split, groups=GROUPS)),
        "fig5": ("Fixed groups: the GPU job", "Fig. 5", labels(*split, groups=GROUPS)),
        "fig6": ("The best alpha per VM count", "Fig. 6", plain + by_vms),
        "g500": ("500 groups", "Section 4, text", labels(*split, groups=(500,))),
        "ablation": (
            "Splitting and waiting, told apart",
            "not in the paper",
            labels("unsplit", "unsplit_cooperative") + by_vms,
        ),
        "adaptive": (
            "Groups found by the GPU VM itself",
            "the paper's future work",
            labels("unsplit") + by_vms + [f"n{n}-gpusplit-adaptive" for n in NUMBERS],
        ),
    }
    return [
        {"id": name, "title": title, "source": source, "points": members}
        for name, (title, source, members) in table.items()
    ]


def _calibration(n: int) -> dict[str, Any]:
    return {
        "cpu_vms": n,
        "bound": 0.05,
        "alpha": 2,
        "groups": 2 * (n + 1),
        "tried": [
            {
                "alpha": alpha,
                "groups": alpha * (n + 1),
                "gpu_slow_down": 0.004 * alpha,
                "cpu_throughput": _throughput(n, "gpusplit", alpha * (n + 1)),
                "point": f"n{n}-gpusplit-alpha{alpha}",
            }
            for alpha in (1, 2, 4)
        ],
    }


def _claims(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def throughput(n: int, mode: str) -> float:
        value: float = next(
            p["cpu_throughput"] for p in points if (p["cpu_vms"], p["mode"]) == (n, mode)
        )
        return value

    claims = []
    for n, limit in zip(NUMBERS, (0.8, 0.4, 0.26, 0.22), strict=True):
        value = throughput(n, "gpusplit") / throughput(n, "unsplit") - 1
        claims.append(
            {
                "id": f"cpu-gain-n{n}",
                "kind": "ours",
                "experiment": "fig6",
                "figure": "Fig. 6",
                "statistic": "cpu_gain",
                "text": "CPU VMs compute faster beside a split GPU job than beside an unsplit one",
                "source": "Fig. 6, CPU VMs",
                "value": value,
                "interval": [value - 0.004, value + 0.004],
                "limit": limit,
                "because": "the GPU VM <keeps> a twentieth | of the CPU",
                "at_least": True,
                "outcome": "pass" if value >= limit else "fail",
                "reason": f"{value:.4g}; must be at least {limit:g}",
            }
        )
    claims.append(
        {
            "id": "repeat-n1",
            "kind": "ours",
            "experiment": "repeat",
            "figure": "",
            "statistic": "repeat_difference",
            "text": "measuring the unsplit point again gives the same CPU throughput",
            "source": "the deterministic clock's promise",
            "value": 0.0023,
            "limit": 0.01,
            "at_least": False,
            "outcome": "pass",
            "reason": "0.0023; must be at most 0.01",
        }
    )
    claims.append(
        {
            "id": "g500-n4",
            "kind": "paper",
            "experiment": "g500",
            "figure": "500 groups",
            "statistic": "gpu_slow_down",
            "text": "500 groups slow the GPU job down by about 38 %",
            "source": "Section 4, text",
            "value": None,
            "limit": 0.38,
            "at_least": True,
            "outcome": "invalid",
            "reason": "n4-paper-500groups: cpu3 <was restarted> & the GPU job did not overlap",
        }
    )
    return claims
