"""Looking at the lab by hand: `python -m harness.lab status`, `... logs FOLDER`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.errors import HarnessError
from harness.lab.connections import Connections
from harness.lab.inventory import Inventory, read_inventory
from harness.lab.logs import collect_logs
from harness.lab.xen import Xen

DOM0 = "xen1"


def status(inventory: Inventory) -> dict[str, object]:
    """What stands, and in which state each VM is: running, paused, or missing."""
    with Connections(inventory.ssh_config, inventory.known_hosts) as connections:
        xen = Xen(connections.host(inventory.host))
        info = xen.info()
        domains = xen.domains()
        gpu = domains.get(inventory.gpu_vm)
        return {
            "lab": inventory.lab,
            "clock": inventory.clock,
            "emulator_pid": inventory.emulator_pid,
            "xen": f"{info['xen_major']}.{info['xen_minor']}{info['xen_extra']}",
            "scheduler": info["xen_scheduler"],
            "published_count": xen.published_count(gpu.domid) if gpu else None,
            "vms": {
                name: ("paused" if domains[name].paused else "running")
                if name in domains
                else "missing"
                for name in inventory.vms
            },
        }


def logs(folder: Path, into: Path) -> list[str]:
    """Collect what the lab's machines wrote, as far as it stands; return what could not be had."""
    ssh_config, known_hosts = folder / "ssh_config", folder / "known_hosts"
    if not (folder / "run" / "qemu.pid").exists() or not ssh_config.exists():
        return collect_logs(folder, None, into)
    with Connections(ssh_config, known_hosts) as connections:
        return collect_logs(folder, connections.host(DOM0), into)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.lab", description=__doc__)
    parser.add_argument("--lab-folder", type=Path, default=Path(".lab"))
    commands = parser.add_subparsers(dest="command", required=True)
    shows = commands.add_parser("status", help="say what stands")
    shows.add_argument("--json", action="store_true", help="for programs")
    collects = commands.add_parser("logs", help="collect what the machines wrote")
    collects.add_argument("into", type=Path)
    options = parser.parse_args()
    if options.command == "logs":
        missing = logs(options.lab_folder, options.into)
        print(f"Logs: {options.into}", *(f"not had: {what}" for what in missing), sep="\n")
        return 0
    try:
        facts = status(read_inventory(options.lab_folder))
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
