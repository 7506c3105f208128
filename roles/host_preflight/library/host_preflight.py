#!/usr/bin/python3
"""Ansible module: everything on a real host that could stop the lab or harm the host, at once."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_facts import gather
from ansible.module_utils.host_problems import Plan, notes, problems

DOCUMENTATION = r"""
module: host_preflight
short_description: Check a real host before it becomes a Xen host with a GPU to pass through
description: Changes nothing. Fails with every problem found, each with its remedy.
options:
  gpu: {type: str, required: true, description: "The GPU: see the module gpu_functions."}
  vendor: {type: str, default: any, description: "Whose GPU it is: any, nvidia, amd or intel."}
  driver: {type: str, default: pocl, description: The guest's OpenCL driver.}
  driver_lacks:
    type: dict
    default: {}
    description: By vendor id, ranges of device ids that the driver's package does not know.
  dom0_memory: {type: int, required: true, description: MiB that dom0 keeps.}
  guest_memory: {type: int, required: true, description: MiB of all guests together.}
  cpus: {type: int, required: true, description: "Physical CPUs, dom0's and the guests'."}
  disk: {type: int, required: true, description: MiB that images and disks take.}
  folder: {type: path, required: true, description: Where they will be.}
  bridge: {type: str, required: true, description: Name of the guests' bridge.}
  bridge_address: {type: str, required: true, description: Its address with prefix.}
  addresses: {type: dict, default: {}, description: "By guest, its address on the bridge."}
  packages: {type: list, elements: str, required: true, description: What will be installed.}
  accept: {type: list, elements: str, default: [], description: Problems to only warn of.}
  root: {type: path, default: /, description: Where the host's files are.}
author: gpusplit
"""

EXAMPLES = r"""
- name: Look for everything that could stop the lab or harm the host
  host_preflight:
    gpu: find
    vendor: nvidia
    dom0_memory: 2048
    guest_memory: 28160
    cpus: 6
    disk: 65536
    folder: /var/lib/gpusplit
    bridge: xenbr0
    bridge_address: 10.77.0.1/24
    packages: [xen-system-amd64]
    accept: [boot-display]
"""

RETURN = r"""
problems:
  description: Names of the problems that were not accepted, as they stand in brackets.
  returned: failure
  type: list
  elements: str
"""

PLANNED = (
    *("gpu", "vendor", "driver", "driver_lacks", "dom0_memory", "guest_memory", "cpus", "disk"),
    *("bridge", "bridge_address", "addresses", "folder"),
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gpu": {"type": "str", "required": True},
            "vendor": {"type": "str", "default": "any"},
            "driver": {"type": "str", "default": "pocl"},
            "driver_lacks": {"type": "dict", "default": {}},
            "dom0_memory": {"type": "int", "required": True},
            "guest_memory": {"type": "int", "required": True},
            "cpus": {"type": "int", "required": True},
            "disk": {"type": "int", "required": True},
            "folder": {"type": "path", "required": True},
            "bridge": {"type": "str", "required": True},
            "bridge_address": {"type": "str", "required": True},
            "addresses": {"type": "dict", "default": {}},
            "packages": {"type": "list", "elements": "str", "required": True},
            "accept": {"type": "list", "elements": "str", "default": []},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    params = module.params

    def run(*argv: str) -> str:
        program = module.get_bin_path(argv[0], opt_dirs=["/usr/sbin", "/sbin"])
        if program is None:
            return ""
        code, out, _ = module.run_command([program, *argv[1:]])
        return "" if code else str(out)

    try:
        facts = gather(Path(params["root"]), run, params["folder"], params["packages"])
    except LookupError as error:
        module.fail_json(msg=str(error))
    plan = Plan(**{name: params[name] for name in PLANNED})
    found = problems(facts, plan)
    for note in notes(facts, plan):
        module.warn(note)
    for problem in found:
        if problem.id in params["accept"]:
            module.warn(f"Accepted ({problem.id}): {problem.text}")
    left = [problem for problem in found if problem.id not in params["accept"]]
    if left:
        count = "1 problem" if len(left) == 1 else f"{len(left)} problems"
        texts = "".join(f"\n- [{problem.id}] {problem.text}" for problem in left)
        module.fail_json(
            msg=f"Nothing was changed: the host has {count}.{texts}",
            problems=[problem.id for problem in left],
        )
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
