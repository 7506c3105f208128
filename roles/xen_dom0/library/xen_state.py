#!/usr/bin/python3
"""Ansible module: how a host was started, what was installed since, and what is not installed."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: xen_state
short_description: Ask whether a host runs under Xen, and how both were started
description:
  - Changes nothing. Warns of a hypervisor or a kernel that was installed or replaced after the
    host was booted, and waits for a reboot.
options:
  packages:
    type: list
    elements: str
    default: []
    description: Debian packages that are to be there, NAME or NAME=VERSION.
  root:
    type: path
    default: /
    description: Where the host's files are.
author: gpusplit
"""

EXAMPLES = r"""
- name: Ask the host how it was started
  xen_state:
  register: xen
"""

RETURN = r"""
running:
  description: Whether the host runs under Xen.
  returned: always
  type: bool
said:
  description: What C(xl info) complains of, where it does.
  returned: always
  type: str
command_line:
  description: Xen's arguments; empty where it does not run.
  returned: always
  type: str
scheduler:
  description: Xen's CPU scheduler; empty where it does not run.
  returned: always
  type: str
kernel_arguments:
  description: The arguments of dom0's kernel.
  returned: always
  type: list
  elements: str
missing:
  description: Those of the packages that are not installed.
  returned: always
  type: list
  elements: str
waiting:
  description: What was installed since the boot and is not in use.
  returned: always
  type: list
  elements: str
"""


def version(name: str) -> list[int]:
    return [*map(int, re.findall(r"\d+", name))]


def waiting(root: Path, kernel: str, under_xen: bool) -> list[str]:
    """The hypervisor and the kernel that the next boot would take, where they are new.

    An upgrade replaces Xen's file, and a kernel's of the same name: what has changed after the boot
    is told by the file's status, since packages keep the time at which they were built.
    """
    stat = (root / "proc/stat").read_text()
    found = re.search(r"^btime (\d+)", stat, re.MULTILINE)
    assert found, "proc(5): btime is always there"
    booted = int(found[1])
    said = []
    if under_xen:
        for path in sorted((root / "boot").glob("xen-*.gz")):
            if path.stat().st_ctime > booted:
                said.append(f"{path.name} was installed after the boot")
    kernels = sorted((root / "boot").glob("vmlinuz-*"), key=lambda path: version(path.name))
    if kernels:
        newest = kernels[-1]
        if newest.name != f"vmlinuz-{kernel}":
            said.append(f"{newest.name} is installed, {kernel} runs")
        elif newest.stat().st_ctime > booted:
            said.append(f"{newest.name} was replaced after the boot")
    return said


def missing(packages: list[str], installed: str) -> list[str]:
    """The packages that are not installed, by dpkg-query's lines of status and NAME=VERSION."""
    there = {
        line.removeprefix("installed ")
        for line in installed.splitlines()
        if line.startswith("installed ")
    }
    there |= {name.partition("=")[0] for name in there}
    return [package for package in packages if package not in there]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    code, info, said = 1, "", "there is no xl"
    if xl := module.get_bin_path("xl", opt_dirs=["/usr/sbin"]):
        code, info, said = module.run_command([xl, "info"])
    facts = dict(re.findall(r"^(\w+)\s*:[ \t]*(.*?)\s*$", info if code == 0 else "", re.MULTILINE))
    packages = module.params["packages"]
    listed = "--showformat=${db:Status-Status} ${Package}=${Version}\n"
    names = [package.partition("=")[0] for package in packages]
    # It fails where it does not know one of them, and lists the others.
    installed = module.run_command(["dpkg-query", "--show", listed, *names])[1] if names else ""
    new = waiting(root, platform.release(), bool(facts))
    for text in new:
        module.warn(f"{text}: reboot the host to have it in use.")
    module.exit_json(
        changed=False,
        running=bool(facts),
        said="" if facts else str(said).strip(),
        command_line=" ".join(facts.get("xen_commandline", "").split()),
        scheduler=facts.get("xen_scheduler", ""),
        kernel_arguments=(root / "proc/cmdline").read_text().split(),
        missing=missing(packages, installed),
        waiting=new,
    )


if __name__ == "__main__":
    main()
