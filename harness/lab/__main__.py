"""Looking at the lab: `python -m harness.lab status`, `... logs FOLDER`; and for the Makefile,
`... wanted`, which succeeds if the lab stands as it would be built, and `... remember`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.lab.connections import Connections
from harness.lab.inventory import Inventory, read_inventory
from harness.lab.logs import collect_logs
from harness.lab.standing import Built, remember, sources_digest, why_build
from harness.lab.xen import Xen

DOM0 = "xen1"


@dataclass(frozen=True)
class Status:
    """What stands."""

    lab: str
    clock: str
    emulator_pid: int | None
    xen: str
    scheduler: str
    published_count: int | None
    vms: dict[str, str]
    """Every VM's state: running, paused, or missing."""


def status(inventory: Inventory) -> Status:
    """Ask Xen what stands."""
    with Connections(inventory.ssh_config, inventory.known_hosts) as connections:
        xen = Xen(connections.host(inventory.host))
        info = xen.info()
        domains = xen.domains()
        gpu = domains.get(inventory.gpu_vm)
        return Status(
            lab=inventory.lab,
            clock=inventory.clock,
            emulator_pid=inventory.emulator_pid,
            xen=f"{info['xen_major']}.{info['xen_minor']}{info['xen_extra']}",
            scheduler=info["xen_scheduler"],
            published_count=xen.published_count(gpu.domid) if gpu else None,
            vms={
                name: ("paused" if domains[name].paused else "running")
                if name in domains
                else "missing"
                for name in inventory.vms
            },
        )


def logs(folder: Path, into: Path) -> list[str]:
    """Collect what the lab's machines wrote, as far as it stands; return what could not be had."""
    ssh_config, known_hosts = folder / "ssh_config", folder / "known_hosts"
    if not (folder / "run" / "qemu.pid").exists() or not ssh_config.exists():
        return collect_logs(folder, None, into)
    with Connections(ssh_config, known_hosts) as connections:
        return collect_logs(folder, connections.host(DOM0), into)


def standing(options: argparse.Namespace) -> int:
    """Remember what the lab was built from, or say whether it is what would be built now."""
    folder = options.lab_folder
    wanted = Built(options.cpu_vms, options.options, sources_digest())
    if options.command == "remember":
        remember(folder, wanted)
        return 0
    try:
        inventory = read_inventory(folder)
        reason = why_build(folder, wanted)
        if reason is None and set(status(inventory).vms.values()) != {"running"}:
            reason = "not all of its VMs run"
    except HarnessError as error:
        reason = error.what
    if reason is not None:
        print(f"The lab has to be built: {reason.rstrip('.')}.")
        return 1
    print("The lab stands, and nothing that it is made of has changed; `make lab` checks it all.")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.lab", description=__doc__)
    parser.add_argument("--lab-folder", type=Path, default=Path(".lab"))
    commands = parser.add_subparsers(dest="command", required=True)
    shows = commands.add_parser("status", help="say what stands")
    shows.add_argument("--json", action="store_true", help="for programs")
    collects = commands.add_parser("logs", help="collect what the machines wrote")
    collects.add_argument("into", type=Path)
    for name, text in (
        ("wanted", "say whether the lab stands as it would be built"),
        ("remember", "write down what the lab was built from"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--cpu-vms", type=int, required=True)
        command.add_argument("--options", default="", help="given to ansible-playbook")
    options = parser.parse_args()
    if options.command in ("wanted", "remember"):
        return standing(options)
    if options.command == "logs":
        missing = logs(options.lab_folder, options.into)
        print(f"Logs: {options.into}", *(f"not had: {what}" for what in missing), sep="\n")
        return 0
    try:
        facts = asdict(status(read_inventory(options.lab_folder)))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(facts))
        return 0
    for name, value in facts.items():
        shown = value.items() if isinstance(value, dict) else [("", value)]
        print(f"{name:16}", ", ".join(f"{key} {text}".strip() for key, text in shown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
