#!/usr/bin/python3
"""Ansible module: remove the packages that came with the lab, but for what something else needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: lab_packages
short_description: Purge packages that came with the lab and that nothing else needs
description:
  - The packages are read from a file. One that a package from elsewhere depends on, and what that
    one depends on itself, is kept and named.
options:
  record:
    type: path
    required: true
    description: File with their names; removed when they are.
author: gpusplit
"""

EXAMPLES = r"""
- name: Remove what came with the lab
  lab_packages:
    record: /var/lib/gpusplit/installed-packages
"""

RETURN = r"""
removed:
  description: Packages that were removed.
  returned: always
  type: list
  elements: str
kept:
  description: Packages that something else needs.
  returned: always
  type: list
  elements: str
"""


def removable(ours: set[str], would_go: Callable[[set[str]], set[str]]) -> set[str]:
    """Those of our packages that can go without taking any other along.

    would_go says what is removed when some packages are.
    """
    rest = set(ours)
    while rest and not would_go(rest) <= rest:
        # What is kept keeps what it depends on, hence again.
        rest -= {name for name in rest if not would_go({name}) <= rest} or rest
    return rest


def main() -> None:
    module = AnsibleModule(
        argument_spec={"record": {"type": "path", "required": True}}, supports_check_mode=True
    )
    record = Path(module.params["record"])
    named = set(record.read_text().split()) if record.exists() else set()

    def apt_get(*words: str) -> str:
        environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        argv = ["apt-get", "--quiet", "--yes", *words]
        return str(module.run_command(argv, check_rc=True, environ_update=environment)[1])

    def would_go(names: set[str]) -> set[str]:
        said = apt_get("--simulate", "purge", *sorted(names))
        return set(re.findall(r"^(?:Remv|Purg) ([^\s:]+)", said, re.MULTILINE))

    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"]
    there = module.run_command([*query, *sorted(named)])[1] if named else ""
    ours = {line.split()[-1] for line in there.splitlines() if not line.startswith("un")}
    remove = removable(ours, would_go)
    if remove and not module.check_mode:
        apt_get("purge", *sorted(remove))
    if record.exists() and not module.check_mode:
        record.unlink()
    kept = sorted(ours - remove)
    if kept:
        module.warn(f"Kept, because something else needs them: {', '.join(kept)}.")
    module.exit_json(changed=bool(remove) or bool(named), removed=sorted(remove), kept=kept)


if __name__ == "__main__":
    main()
