"""The command gpusplit: run, doctor, explain, watch, agent, plan.  Also `python -m gpusplit`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields

from gpusplit.config import PAGE, PREFIX, WITHOUT, Config, ConfigError

_HELP = {
    "policy": "unsplit, fixed, vms (groups = VMs x alpha), time (bounded group time) or adaptive "
    "(what helps the neighbours, within the budget)",
    "groups": "number of groups of the policy fixed",
    "alpha": "groups per running VM, for the policy vms",
    "group_ms": "milliseconds that a group may take, for the policy time",
    "budget": "part by which a launch may become slower, for the policy adaptive",
    "wait": "cooperative (sleep, then poll) or driver",
    "vms": "source of the VM count: auto, xenstore, kvm or static:N",
    "queues": "queues that slices go to in turn, 1 to 4; 0: 2 with cooperative waits (more for "
    "small slices), else 1",
    "in_flight": "groups enqueued and not complete; 0: 256 a queue with cooperative waits, else 1",
    "cores": "the GPU's cores; 0: ask the device",
    "judge": "background (launches stay whole until their verdict is found) or wait (for it)",
    "summary": "say at the end what was split",
    "timeline": "write a timeline of all waits for chrome://tracing or Perfetto to this file",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status (2 for options that make no sense, as argparse)."""
    parser = argparse.ArgumentParser(
        prog="gpusplit",
        description="Let a GPU program's waits sleep, and split its kernel launches.",
        epilog="Every option is also an environment variable (GPUSPLIT_POLICY, ...) and a key of "
        "the TOML file that --config or GPUSPLIT_CONFIG names; the command line wins, then the "
        "environment.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run any program: waits sleep, launches are split")
    explain = commands.add_parser("explain", help="list a program's kernels and the verdicts")
    doctor = commands.add_parser("doctor", help="say what is here: devices, waits, VM count")
    watch = commands.add_parser("watch", help="show the number of running VMs, live")
    for command in (run, explain, doctor):
        _add_options(command, *(field.name for field in fields(Config)))
    _add_options(watch, "vms")
    watch.add_argument("--json", action="store_true", help="one JSON object per line")
    watch.add_argument(
        "--interval", type=_positive, default=1.0, metavar="S",
        help="seconds after which a line is written even if nothing changed (default: 1)",
    )  # fmt: skip
    watch.add_argument(
        "--lines", type=int, default=0, metavar="N", help="end after so many lines (default: never)"
    )
    agent = commands.add_parser(
        "agent", help="keep the count of running VMs where every program of this VM may read it"
    )
    _add_options(agent, "vms")
    agent.add_argument(
        "--file", default=PAGE, metavar="FILE", help=f"where it is kept (default: {PAGE})"
    )
    for command in (run, explain):
        command.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="run a module")
        command.add_argument("program", nargs=argparse.REMAINDER, help="program [arguments]")
    run.add_argument(
        "--observe", action="store_true",
        help="change nothing, and say at the end what waiting for the GPU cost the CPU",
    )  # fmt: skip
    plan = commands.add_parser("plan", help="predict what gpusplit brings to a provider's hosts")
    given = sys.argv[1:] if arguments is None else arguments
    if "plan" in given[:1]:
        from gpusplit import forecast

        forecast.add_options(plan)
    options = parser.parse_args(given)
    command = commands.choices[options.command]
    if options.command == "plan":
        try:
            return forecast.plan(options, sys.stdout)
        except ValueError as error:
            command.error(str(error))
    senseless = ""
    try:
        base = _surroundings(options)
    except ConfigError as error:
        # Who asked for another command looks at it; a program is not to suffer.
        if options.command != "run" or options.config is not None:
            command.error(str(error))
        base, senseless = Config(), str(error)
    try:
        config = base.with_options(_given(options), "command line")
    except ConfigError as error:
        command.error(str(error))
    if options.command == "doctor":
        from gpusplit.doctor import examine_system

        return examine_system(config, sys.stdout)
    if options.command == "watch":
        from gpusplit.watch import watch as watch_count

        return watch_count(config, options.interval, options.json, options.lines, sys.stdout)
    if options.command == "agent":
        from gpusplit.agent import serve

        return serve(config.vms, options.file, sys.stderr)
    words = options.module if options.module is not None else options.program
    if not words:
        command.error("name a program, or a module after -m")
    from gpusplit import running

    try:
        if options.command == "explain":
            from gpusplit.explain import explain_program

            return explain_program(words, options.module is not None, config, sys.stdout)
        if senseless:
            print(f"gpusplit: {senseless}; {WITHOUT}", file=sys.stderr)
            running.run_without(words, options.module is not None)
        running.run(words, options.module is not None, config, options.observe)
    except running.CannotRun as error:
        print(f"gpusplit: {error}", file=sys.stderr)
        return error.status
    return 0


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return number


def _add_options(command: argparse.ArgumentParser, *names: str) -> None:
    """Let *command* take the options called *names* of Config, and a file with them."""
    command.add_argument("--config", metavar="FILE", help="a TOML file with options")
    for field in fields(Config):
        if field.name not in names:
            continue
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            command.add_argument(
                flag, action="store_const", const="true", help=_HELP[field.name], dest=field.name
            )
        else:
            shown = f"{_HELP[field.name]} (default: {field.default})".replace(" (default: )", "")
            command.add_argument(flag, help=shown, dest=field.name, metavar="X")


def _surroundings(options: argparse.Namespace) -> Config:
    """What the environment says, and the file that it or --config names."""
    environ = dict(os.environ)
    if options.config is not None:
        environ[PREFIX + "CONFIG"] = options.config
    return Config.from_environment(environ)


def _given(options: argparse.Namespace) -> dict[str, str]:
    """The options of the command line."""
    return {
        field.name: getattr(options, field.name)
        for field in fields(Config)
        if getattr(options, field.name, None) is not None
    }
